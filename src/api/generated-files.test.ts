import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { generatedFiles, generatedFolders, sourceFiles } from './generated-files.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFile(join(root, path), 'utf8');
const sources = new Map(await Promise.all(sourceFiles.map(async (path) => [path, await read(path)] as const)));
const files = generatedFiles(sources);

describe('npm run generate was run after the last change of', () => {
  test.each([...files])('%s', async (path, content) => {
    expect(await read(path)).toBe(content);
  });
});

test.each(generatedFolders)('%s holds nothing that is not generated', async (folder) => {
  const present = (await readdir(join(root, folder))).map((name) => `${folder}/${name}`);
  expect(present.filter((path) => !files.has(path))).toEqual([]);
});

test.each([...files].filter(([path]) => path.startsWith('crds/')))('%s is under 100 kB', (_path, content) => {
  expect(Buffer.byteLength(content)).toBeLessThan(100_000);
});
