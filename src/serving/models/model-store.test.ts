import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LoadFailure } from './failure.ts';
import { loadOptions, scratch, sha256, silent } from './load-fixture.ts';
import { placeModel } from './model-store.ts';
import { openModel } from './open-model.ts';
import { DEFAULT_SOURCE_LIMITS, type ModelContent, type ModelEntry } from './source.ts';

const BYTES = Buffer.alloc(200_000, 'model');
const plenty = async () => 1e12;

/** A model that arrives in pieces of 10 kB; `announced: false` leaves out its size, `breaksAt` ends it with an error. */
function arriving({ announced = true, breaksAt = Number.POSITIVE_INFINITY } = {}): ModelContent {
  async function* content() {
    for (let at = 0; at < BYTES.length; at += 10_000) {
      if (at >= breaksAt) throw new LoadFailure('SourceUnreachable', 'broke');
      yield BYTES.subarray(at, at + 10_000);
    }
  }
  async function* entries(): AsyncGenerator<ModelEntry> {
    yield { path: 'churn.onnx', sizeBytes: announced ? BYTES.length : undefined, content: content() };
  }
  return { layout: 'file', entries: entries() };
}

const place = (modelRoot: string, options: Partial<Parameters<typeof placeModel>[1]> = {}, digest?: string) =>
  placeModel(
    { name: 'm', uri: 'https://host.test/churn.onnx?sig=1', ...(digest === undefined ? {} : { sha256: digest }) },
    { modelRoot, maxModelBytes: 1e9, logger: silent, freeBytes: plenty, open: async () => arriving(), ...options },
  );

it('a fetched model lies under its digest', async () => {
  await using root = await scratch();
  const placed = await place(root.path);
  expect(placed).toMatchObject({
    sha256: sha256(BYTES),
    sizeBytes: BYTES.length,
    path: join(root.path, sha256(BYTES), 'model.onnx'),
  });
  expect(await readFile(placed.path)).toEqual(BYTES);
  expect(await readdir(root.path)).toEqual([sha256(BYTES)]);
});

it('a model that is on disk is not fetched again, so that a restart needs no source', async () => {
  await using root = await scratch();
  await place(root.path);
  const open = () => Promise.reject(new Error('the source was asked'));
  expect((await place(root.path, { open }, sha256(BYTES))).path).toContain(sha256(BYTES));
});

it('a copy that is damaged is fetched again', async () => {
  await using root = await scratch();
  const { path } = await place(root.path);
  await writeFile(path, 'damaged');
  await place(root.path, {}, sha256(BYTES));
  expect(await readFile(path)).toEqual(BYTES);
});

it.each([
  ['replaced', Buffer.from('another model')],
  ['truncated', BYTES.subarray(0, 40)],
  ['emptied', Buffer.alloc(0)],
])(
  'a kept copy that was %s gives way to the bytes that were fetched, also where no digest was asked for',
  async (_, content) => {
    await using root = await scratch();
    const { path } = await place(root.path);
    await writeFile(path, content);
    expect(await readFile((await place(root.path)).path)).toEqual(BYTES);
    expect(await readdir(root.path)).toEqual([sha256(BYTES)]);
  },
);

it('a kept copy that holds no model at all gives way too', async () => {
  await using root = await scratch();
  await mkdir(join(root.path, sha256(BYTES)));
  await writeFile(join(root.path, sha256(BYTES), '.hidden'), 'x');
  expect(await readFile((await place(root.path)).path)).toEqual(BYTES);
});

it('two models with the same bytes may be fetched at once', async () => {
  await using root = await scratch();
  const both = await Promise.all([place(root.path), place(root.path)]);
  expect(new Set(both.map(({ path }) => path)).size).toBe(1);
  expect(await readdir(root.path)).toEqual([sha256(BYTES)]);
});

it('what a killed process left half-fetched is removed', async () => {
  await using root = await scratch();
  const ended = execFileSync('sh', ['-c', 'echo $$']).toString().trim();
  await mkdir(join(root.path, `.incoming-${ended}-x`), { recursive: true });
  await mkdir(join(root.path, '.incoming-1-of-a-living-process'));
  await place(root.path);
  expect((await readdir(root.path)).sort()).toEqual(['.incoming-1-of-a-living-process', sha256(BYTES)]);
});

it('a fetch that breaks leaves nothing behind', async () => {
  await using root = await scratch();
  const open = async () => arriving({ breaksAt: 100_000 });
  await expect(place(root.path, { open })).rejects.toMatchObject({ reason: 'SourceUnreachable' });
  expect(await readdir(root.path)).toEqual([]);
});

/** A real disk of 128 kB at `path`, until the test's `using` ends. */
function smallDisk(path: string): Disposable {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', path]);
  return { [Symbol.dispose]: () => void execFileSync('umount', ['-l', path]) };
}

describe('a model too big for the disk is InsufficientDisk', () => {
  it('before a byte is fetched, where the source tells its size', async () => {
    await using root = await scratch();
    const failed = place(root.path, { freeBytes: async () => 150_000 });
    await expect(failed).rejects.toMatchObject({
      reason: 'InsufficientDisk',
      message: expect.stringMatching(/200000 .*150000/),
    });
    expect(await readdir(root.path)).toEqual([]);
  });

  const canMount = process.getuid?.() === 0 && process.platform === 'linux';
  it.runIf(canMount)('amid the fetch, when a real disk is full', async () => {
    await using root = await scratch();
    using _ = smallDisk(root.path);
    const open = async () => arriving({ announced: false });
    const failed = place(root.path, { open });
    await expect(failed).rejects.toMatchObject({
      reason: 'InsufficientDisk',
      message: expect.stringMatching(/full after \d+ of an unknown number of bytes/),
    });
    expect(await readdir(root.path)).toEqual([]);
  });

  it.runIf(canMount)('by what the file system itself tells', async () => {
    await using root = await scratch();
    using _ = smallDisk(root.path);
    await expect(place(root.path, { freeBytes: undefined })).rejects.toMatchObject({ reason: 'InsufficientDisk' });
  });
});

describe('a model that is read in place', () => {
  const openFile = (root: string, path: string) => () => {
    const options = { ...loadOptions(root), limits: DEFAULT_SOURCE_LIMITS, delay: async () => {} };
    return openModel(`file://${path}`, options);
  };

  it('is loaded from the bytes that were hashed when it is small', async () => {
    await using root = await scratch();
    const path = join(root.path, 'm.onnx');
    await writeFile(path, BYTES);
    const placed = await place(root.path, { open: openFile(root.path, path) }, sha256(BYTES));
    await writeFile(path, 'something else');
    expect(sha256(placed.bytes ?? Buffer.of())).toBe(sha256(BYTES));
    await expect(placed.confirmUnchanged()).resolves.toBeUndefined();
  });

  it('and is large is refused when it changes while the engine reads it', async () => {
    await using root = await scratch();
    const path = join(root.path, 'm.onnx');
    await writeFile(path, Buffer.alloc(9 << 20));
    const placed = await place(root.path, { open: openFile(root.path, path) });
    expect(placed.bytes).toBeUndefined();
    await expect(placed.confirmUnchanged()).resolves.toBeUndefined();
    await writeFile(path, Buffer.alloc(9 << 20, 1));
    await expect(placed.confirmUnchanged()).rejects.toMatchObject({ reason: 'DigestMismatch' });
  });
});
