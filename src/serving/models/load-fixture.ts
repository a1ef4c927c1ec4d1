import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
