import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServedModel } from '../../api/serving-config.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { DiskSink, freeBytesOf, isCode } from './disk-sink.ts';
import { expectHashedWeights } from './external-data.ts';
import { LoadFailure } from './failure.ts';
import { localContent } from './local-source.ts';
import { type ModelDigest, type ModelSink, readModel } from './model-digest.ts';
import { type ModelContent, parseModelUri } from './source.ts';

/** Models of one file up to this size are loaded from the very bytes that were hashed. */
const IN_MEMORY_BYTES = 8 * 2 ** 20;
/** Under this name files arrive, followed by the process that fetches them. */
const INCOMING = '.incoming-';

export interface PlaceOptions {
  readonly modelRoot: string;
  readonly maxModelBytes: number;
  readonly logger: Logger;
  readonly freeBytes?: ((path: string) => Promise<number>) | undefined;
  readonly open: () => Promise<ModelContent>;
}

/** A model whose digest has been checked, ready for the engine. */
export interface PlacedModel {
  readonly sha256: string;
  readonly sizeBytes: number;
  /** The `.onnx` file. */
  readonly path: string;
  /** The hashed bytes themselves, where the file is small and not our own copy. */
  readonly bytes?: Uint8Array;
  /** @throws LoadFailure `DigestMismatch` when files that are read in place changed since they were hashed. */
  confirmUnchanged(): Promise<void>;
}

/**
 * Brings a model to where the engine can read it, and checks its digest. What lies on a volume is read in place; what
 * is fetched is kept under `<modelRoot>/<sha256>/` and taken from there the next time, after being hashed again.
 * @throws LoadFailure `DigestMismatch`, `InsufficientDisk`, `InvalidModel`, or what the source says.
 */
export async function placeModel(model: ServedModel, options: PlaceOptions): Promise<PlacedModel> {
  const { shown } = parseModelUri(model.uri);
  const kept = model.sha256 === undefined ? undefined : await keptModel(model.sha256, options);
  if (kept !== undefined) return kept;
  const content = await options.open();
  if (content.local !== undefined) return placeInPlace(shown, model.sha256, content, content.local, options);
  return fetchModel(shown, model.sha256, content, options);
}

async function placeInPlace(
  shown: string,
  wanted: string | undefined,
  content: ModelContent,
  local: NonNullable<ModelContent['local']>,
  options: PlaceOptions,
): Promise<PlacedModel> {
  const before = await local.fingerprint();
  const chunks: Uint8Array[] = [];
  let held = content.layout === 'file' ? 0 : Number.POSITIVE_INFINITY;
  const memory: ModelSink = {
    async open() {
      return {
        async write(chunk) {
          held += chunk.byteLength;
          if (held <= IN_MEMORY_BYTES) chunks.push(chunk);
          else chunks.length = 0;
        },
        async close() {},
      };
    },
  };
  const digest = await readModel(content, options.maxModelBytes, memory);
  expectDigest(shown, wanted, digest);
  const inMemory = held <= IN_MEMORY_BYTES;
  const file = {
    path: content.layout === 'file' ? local.path : modelFile(shown, local.path, digest),
    ...(inMemory ? { bytes: Buffer.concat(chunks) } : {}),
  };
  expectHashedWeights(shown, file, hashedWeights(content, digest));
  return {
    ...file,
    sha256: digest.sha256,
    sizeBytes: digest.sizeBytes,
    async confirmUnchanged() {
      if (inMemory || (await local.fingerprint()) === before) return;
      throw new LoadFailure(
        'DigestMismatch',
        `${shown} was changed while it was loaded; write a new path for a new version`,
      );
    },
  };
}

async function fetchModel(
  shown: string,
  wanted: string | undefined,
  content: ModelContent,
  options: PlaceOptions,
): Promise<PlacedModel> {
  await mkdir(options.modelRoot, { recursive: true });
  await removeLeftovers(options.modelRoot);
  const incoming = join(options.modelRoot, `${INCOMING}${process.pid}-${randomUUID()}`);
  await mkdir(incoming);
  try {
    const sink = new DiskSink(incoming, content.layout, shown, options.freeBytes ?? freeBytesOf);
    const digest = await readModel(content, options.maxModelBytes, sink);
    expectDigest(shown, wanted, digest);
    const name = content.layout === 'file' ? join(incoming, 'model.onnx') : modelFile(shown, incoming, digest);
    expectHashedWeights(shown, { path: name }, hashedWeights(content, digest));
    const kept = join(options.modelRoot, digest.sha256);
    await keep(incoming, digest.sha256, options);
    options.logger.info('Fetched the model', { uri: shown, sha256: digest.sha256, sizeBytes: digest.sizeBytes });
    return {
      sha256: digest.sha256,
      sizeBytes: digest.sizeBytes,
      path: join(kept, name.slice(incoming.length + 1)),
      confirmUnchanged: async () => {},
    };
  } catch (error) {
    await rm(incoming, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Puts a fetched model in its place, or takes what lies there already: left by an earlier load, or by another model of
 * this server with the same bytes that was faster. What lies there is believed only once it has been hashed.
 */
async function keep(incoming: string, sha256: string, options: PlaceOptions): Promise<void> {
  for (;;) {
    try {
      await rename(incoming, join(options.modelRoot, sha256));
      return;
    } catch (error) {
      if (!isCode(error, 'ENOTEMPTY') && !isCode(error, 'EEXIST')) throw error;
    }
    if ((await keptModel(sha256, options)) === undefined) continue;
    await rm(incoming, { recursive: true });
    return;
  }
}

/** The copy that an earlier load left, if its bytes are still what they were. */
async function keptModel(sha256: string, options: PlaceOptions): Promise<PlacedModel | undefined> {
  const directory = join(options.modelRoot, sha256);
  if (!(await stat(directory).catch(() => undefined))?.isDirectory()) return undefined;
  const file = join(directory, 'model.onnx');
  const content = await localContent(directory, directory, directory);
  // Such a copy holds no model, or too large a one.
  const digest = await readModel(content, options.maxModelBytes).catch(() => undefined);
  const single = digest?.files.size === 1 && digest.files.get('model.onnx') === sha256;
  if (digest === undefined || (!single && digest.sha256 !== sha256)) {
    options.logger.warn('The copy on disk is damaged; it is removed', { directory, found: digest?.sha256 });
    await rm(directory, { recursive: true, force: true });
    return undefined;
  }
  expectHashedWeights(directory, { path: file }, new Set(digest.files.keys()));
  options.logger.info('Using the verified copy on disk', { sha256, sizeBytes: digest.sizeBytes });
  return { sha256, sizeBytes: digest.sizeBytes, path: file, confirmUnchanged: async () => {} };
}

/** Files that a graph may name: of a model of one file none, since what lies beside that was not looked at. */
function hashedWeights({ layout }: ModelContent, { files }: ModelDigest): ReadonlySet<string> {
  return layout === 'file' ? new Set() : new Set(files.keys());
}

/** @throws LoadFailure `DigestMismatch` when the bytes are not those that are wanted. */
export function expectDigest(shown: string, wanted: string | undefined, digest: ModelDigest): void {
  if (wanted === undefined || wanted === digest.sha256) return;
  throw new LoadFailure(
    'DigestMismatch',
    `${shown} has the sha256 ${digest.sha256} (${digest.sizeBytes} bytes), not ${wanted} as wanted`,
  );
}

function modelFile(shown: string, directory: string, digest: ModelDigest): string {
  if (digest.files.has('model.onnx')) return join(directory, 'model.onnx');
  const some = [...digest.files.keys()].slice(0, 5).join(', ');
  throw new LoadFailure('InvalidModel', `${shown} holds no model.onnx, but ${digest.files.size} other files: ${some}`);
}

/** Removes what processes that are gone left half-fetched, such as this container's before it was killed. */
async function removeLeftovers(modelRoot: string): Promise<void> {
  const startedAtMs = Date.now() - process.uptime() * 1000;
  for (const name of await readdir(modelRoot)) {
    if (!name.startsWith(INCOMING)) continue;
    const path = join(modelRoot, name);
    const pid = Number(name.slice(INCOMING.length).split('-', 1)[0]);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) continue;
    // In a container every life of the server has the same process id; what is older than this life is left over.
    const isOurs = pid === process.pid && found.birthtimeMs >= startedAtMs;
    if (!isOurs && (pid === process.pid || !isRunning(pid))) await rm(path, { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return isCode(error, 'EPERM');
  }
}
