import type { TarEntry } from './tar.ts';

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

type Named = Pick<TarEntry, 'path' | 'kind'>;

/**
 * `folder` of a container image and what lies below it, as far as upper layers leave it visible. `layers` come as a
 * manifest lists them, the lowest first; they are read from the top, so that what is deleted or replaced is known
 * before it arrives (image-spec, layer.md: whiteouts and opaque directories).
 */
export async function* visibleEntries(
  folder: string,
  layers: readonly (() => AsyncIterable<TarEntry>)[],
): AsyncGenerator<TarEntry> {
  const above = new UpperLayers();
  for (const open of layers.toReversed()) {
    const layer: Named[] = [];
    for await (const entry of open()) {
      const { path, kind } = entry;
      const isWhiteout = fileName(path).startsWith(WHITEOUT);
      const isInside = path === folder || path.startsWith(`${folder}/`);
      const isAround = isWhiteout && !path.includes('/');
      if (!isInside && !isAround) continue;
      layer.push({ path, kind });
      if (isInside && !isWhiteout && !above.hides(entry)) yield entry;
    }
    for (const entry of layer) above.add(entry);
  }
}

/** What the layers above hide of the one that is read. */
class UpperLayers {
  /** Paths that are gone or are no directories, with all that lies below them. */
  readonly #trees = new Set<string>();
  /** Directories whose content is gone, but not they themselves. */
  readonly #contents = new Set<string>();
  /** Directories, by their own entries or by those below them: lower ones of the name join them, a lower file does not. */
  readonly #directories = new Set<string>();

  add({ path, kind }: Named): void {
    const name = fileName(path);
    const folder = path.slice(0, path.length - name.length);
    for (const directory of ancestors(path)) this.#directories.add(directory);
    if (name === OPAQUE) this.#contents.add(folder.slice(0, -1));
    else if (name.startsWith(WHITEOUT)) this.#trees.add(folder + name.slice(WHITEOUT.length));
    else if (kind === 'directory') this.#directories.add(path);
    else this.#trees.add(path);
  }

  hides({ path, kind }: Named): boolean {
    if (this.#trees.has(path) || (kind !== 'directory' && this.#directories.has(path))) return true;
    if (this.#contents.has('')) return true;
    return ancestors(path).some((directory) => this.#trees.has(directory) || this.#contents.has(directory));
  }
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** `a` and `a/b` of `a/b/c`. */
function ancestors(path: string): string[] {
  const found: string[] = [];
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) found.push(path.slice(0, at));
  return found;
}
