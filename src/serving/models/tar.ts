import { ChunkReader } from './chunk-reader.ts';
import { LoadFailure } from './failure.ts';
import type { ModelEntry } from './source.ts';

const BLOCK = 512;
/** Extended headers hold a path; what is larger is no header. */
const MAX_HEADER_BYTES = 1 << 20;

/** One entry of a tar; only a `file` has content. */
export interface TarEntry extends ModelEntry {
  readonly kind: 'file' | 'directory' | 'link' | 'special';
}

/** What a header's type says. Hard and symbolic links, devices and pipes have no content, whatever size they claim. */
const KINDS: Readonly<Record<string, TarEntry['kind']>> = {
  '0': 'file',
  '\0': 'file',
  '1': 'link',
  '2': 'link',
  '5': 'directory',
};
const WITHOUT_CONTENT = /^[1-6]$/;

/**
 * The entries of a tar stream (ustar, pax, GNU long names), in its order, a directory's path without a slash at its end.
 * Each entry's content must be read, or is skipped, before the next.
 * @throws LoadFailure `InvalidModel` for what is not a sound tar.
 */
export async function* tarEntries(stream: AsyncIterable<Uint8Array>, shown: string): AsyncGenerator<TarEntry> {
  const reader = new ChunkReader(stream, shown);
  let longPath: string | undefined;
  let paxSize: number | undefined;
  for (;;) {
    // A stream that ends before the block of zeros was cut: what followed is not known to have been nothing.
    const header = await reader.exactly(BLOCK);
    if (header.every((byte) => byte === 0)) break;
    if (checksum(header) !== number(header, 148, 8))
      throw new LoadFailure('InvalidModel', `${shown}: the archive is damaged`);
    const type = String.fromCharCode(header[156] ?? 0);
    const headerBytes = number(header, 124, 12);
    // x, g: extended headers; L, K: a path and a link's target that are too long for the header that follows.
    if (type === 'x' || type === 'L' || type === 'K' || type === 'g') {
      if (headerBytes > MAX_HEADER_BYTES) throw new LoadFailure('InvalidModel', `${shown}: the archive is damaged`);
      const text = (await reader.exactly(headerBytes)).toString();
      await reader.skip(padding(headerBytes));
      if (type === 'L') longPath = text.replace(/\0.*$/s, '');
      if (type === 'x') ({ path: longPath, size: paxSize } = paxRecords(text));
      continue;
    }
    const path = (longPath ?? headerPath(header)).replace(/^(\.\/)+/, '').replace(/\/+$/, '');
    const sizeBytes = WITHOUT_CONTENT.test(type) ? 0 : (paxSize ?? headerBytes);
    longPath = undefined;
    paxSize = undefined;
    const content = reader.content(sizeBytes);
    yield { path, kind: KINDS[type] ?? 'special', sizeBytes, content };
    for await (const _ of content);
    await reader.skip(padding(sizeBytes));
  }
  await reader.drain();
}

function headerPath(header: Buffer): string {
  const name = text(header, 0, 100);
  const prefix = text(header, 257, 5) === 'ustar' ? text(header, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function text(header: Buffer, start: number, length: number): string {
  return header.toString('utf8', start, start + length).replace(/\0.*$/s, '');
}

/** An octal field, or for great numbers GNU's big-endian one whose first bit is set. */
function number(header: Buffer, start: number, length: number): number {
  if ((header[start] ?? 0) & 0x80) return Number(header.readBigUInt64BE(start + length - 8) & 0x7fff_ffff_ffff_ffffn);
  const octal = text(header, start, length).trim();
  return octal === '' ? 0 : Number.parseInt(octal, 8);
}

function checksum(header: Buffer): number {
  let sum = 8 * 32;
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 0 : byte;
  return sum;
}

/** pax: lines `LENGTH key=value`, the length counting all of its line. */
function paxRecords(records: string): { path: string | undefined; size: number | undefined } {
  const path = /^\d+ path=(.*)$/m.exec(records)?.[1];
  const size = /^\d+ size=(\d+)$/m.exec(records)?.[1];
  return { path, size: size === undefined ? undefined : Number(size) };
}

function padding(sizeBytes: number): number {
  return (BLOCK - (sizeBytes % BLOCK)) % BLOCK;
}
