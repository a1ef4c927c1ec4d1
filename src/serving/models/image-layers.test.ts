import { expect, it } from 'vitest';
import { visibleEntries } from './image-layers.ts';
import type { TarEntry } from './tar.ts';

/** Layers as words: a path that ends with `/` is a directory, one with `@` behind it a link; lowest layer first. */
const layersOf = (...layers: readonly string[]) =>
  layers.map(
    (words, index) =>
      async function* (): AsyncGenerator<TarEntry> {
        for (const word of words.split(' ').filter(Boolean)) {
          const kind = word.endsWith('/') ? 'directory' : word.endsWith('@') ? 'link' : 'file';
          async function* content() {
            yield Buffer.from(String(index));
          }
          yield { path: word.replace(/[/@]$/, ''), kind, sizeBytes: 1, content: content() };
        }
      },
  );

async function visible(...layers: readonly string[]): Promise<string> {
  const found: string[] = [];
  for await (const { path, kind, content } of visibleEntries('models', layersOf(...layers))) {
    for await (const chunk of content) if (kind !== 'directory') found.push(`${path}=${Buffer.from(chunk)}`);
  }
  return found.sort().join(' ');
}

it.each<[string, readonly string[], string]>([
  ['what lies outside the folder is not given', ['bin/ bin/sh@ etc/passwd modelsx models/a'], 'models/a=0'],
  ['layers add up', ['models/a', 'models/b'], 'models/a=0 models/b=1'],
  ['an upper file replaces a lower one', ['models/a', 'models/a'], 'models/a=1'],
  ['a whiteout deletes a file', ['models/a models/b', 'models/.wh.a'], 'models/b=0'],
  ['a whiteout deletes a directory', ['models/d/a models/d/e/b models/da', 'models/.wh.d'], 'models/da=0'],
  ['a whiteout of the folder deletes all', ['models/a', '.wh.models', 'models/b'], 'models/b=2'],
  ['a whiteout spares its own layer', ['models/d/a', 'models/.wh.d models/d/b'], 'models/d/b=1'],
  ['a whiteout spares the layers above it', ['models/a', 'models/.wh.a', 'models/a'], 'models/a=2'],
  [
    'an opaque directory hides what lies in it below',
    ['models/d/a models/b', 'models/d/ models/d/.wh..wh..opq models/d/c'],
    'models/b=0 models/d/c=1',
  ],
  ['an opaque root hides all below', ['models/a', '.wh..wh..opq models/b'], 'models/b=1'],
  ['a file replaces a directory', ['models/d/a', 'models/d'], 'models/d=1'],
  ['a directory replaces a file or a link', ['models/d models/l@', 'models/d/ models/l/a'], 'models/l/a=1'],
  ['a link is given where it is visible', ['models/l@ models/m@', 'models/m'], 'models/l=0 models/m=1'],
])('%s', async (_rule, layers, expected) => {
  expect(await visible(...layers)).toBe(expected);
});
