import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unpacked } from './layer-decoder.ts';

async function decoded(layer: Uint8Array, mediaType: string, pieceBytes = layer.length): Promise<Buffer> {
  async function* pieces() {
    for (let at = 0; at < layer.length; at += pieceBytes) yield layer.subarray(at, at + pieceBytes);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of unpacked(pieces(), mediaType, 'layer')) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Content that neither compresses away nor fits into one block, and some that does both. */
const parts = [
  Buffer.from('head'),
  Buffer.from(Float64Array.from({ length: 40_000 }, (_, index) => Math.sin(index)).buffer),
  Buffer.alloc(300_000, 'x'),
  Buffer.alloc(0),
  Buffer.from('tail'),
];
const whole = Buffer.concat(parts);

const withChecksum = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };
const withoutSize = { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } };
/** A frame of zstd that holds no content: RFC 8878, section 3.1.2. */
const skippable = (content: Buffer, variant = 0): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x184d2a50 + variant);
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content]);
};

const layers: readonly (readonly [name: string, mediaType: string, layer: Buffer])[] = [
  ['zstd of several frames', 'tar+zstd', Buffer.concat(parts.map((part) => zstdCompressSync(part)))],
  ['zstd with checksums', 'tar+zstd', Buffer.concat(parts.map((part) => zstdCompressSync(part, withChecksum)))],
  ['zstd that tells no sizes', 'tar+zstd', Buffer.concat(parts.map((part) => zstdCompressSync(part, withoutSize)))],
  [
    'zstd with skippable frames before, between and after',
    'tar+zstd',
    Buffer.concat([
      skippable(Buffer.alloc(0)),
      ...parts.flatMap((part, index) => [zstdCompressSync(part), skippable(Buffer.alloc(index * 1000, 'x'), index)]),
      skippable(Buffer.from('end'), 15),
    ]),
  ],
  ['gzip of several members', 'tar+gzip', Buffer.concat(parts.map((part) => gzipSync(part)))],
];

describe.each(layers)('a layer of %s', (_, mediaType, layer) => {
  it('is read to its end, whatever the pieces it comes in', async () => {
    expect((await decoded(layer, mediaType)).equals(whole)).toBe(true);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 50, max: 100_000 }), async (pieceBytes) => {
        expect((await decoded(layer, mediaType, pieceBytes)).equals(whole)).toBe(true);
      }),
      { numRuns: 10 },
    );
  });

  it('is refused when it is cut amid the last piece', async () => {
    await expect(decoded(layer.subarray(0, -1), mediaType)).rejects.toThrow();
  });
});

it('bytes of zstd that begin no frame are InvalidModel', async () => {
  const layer = Buffer.concat([zstdCompressSync(whole), Buffer.from('garbage')]);
  await expect(decoded(layer, 'tar+zstd')).rejects.toMatchObject({ reason: 'InvalidModel' });
});
