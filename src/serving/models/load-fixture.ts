import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import winston from 'winston';
import type { Logger } from '../../telemetry/logger.ts';
import type { LoadOptions } from './load-model.ts';

/** What the tests of this folder share: the committed models, a scratch folder, options that wait for nothing. */

const models = fileURLToPath(new URL('../../../e2e/models/', import.meta.url));

/** The path of a model in `e2e/models`. */
export function modelPath(name: string): string {
  return join(models, name);
}

export function modelBytes(name: string): Promise<Buffer> {
  return readFile(modelPath(name));
}

/** A folder that is gone when the test's `using` ends. */
export async function scratch(): Promise<{ readonly path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'fairlead-models-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export const silent: Logger = winston.createLogger({ silent: true });

/** Load options whose retries wait no time; `waits` tells how long they would have waited. */
export function loadOptions(
  root: string,
  overrides: Partial<LoadOptions> = {},
): LoadOptions & { readonly waits: number[] } {
  const waits: number[] = [];
  return {
    waits,
    modelRoot: join(root, 'models'),
    pvcRoot: join(root, 'pvc'),
    device: 'cpu',
    credentials: {},
    logger: silent,
    signal: new AbortController().signal,
    delay: async (ms) => {
      waits.push(ms);
    },
    ...overrides,
  };
}

export type Files = Readonly<Record<string, Uint8Array>>;

/** Writes files by their paths below a folder; answers the folder. */
export async function writeFiles(directory: string, files: Files): Promise<string> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
  return directory;
}

export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

interface Registry {
  readonly url: string;
  readonly credentials: { readonly username: string; readonly password: string };
}

/** Where an artefact is pushed to, with the tag `v1`. */
export function pushTo({ url, credentials }: Registry, repository: string) {
  return { registry: url, repository, tag: 'v1', credentials };
}

/** The URI of what was pushed there; its host is not asked, the endpoint is. */
export function ociUri(repository: string): string {
  return `oci://registry.test/${repository}:v1`;
}

/** Load options with the credentials of a registry. */
export function signedIn(root: string, { credentials: { username, password } }: Registry) {
  return loadOptions(root, { credentials: { registryUsername: username, registryPassword: password } });
}
