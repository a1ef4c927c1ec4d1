import { PassThrough, Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { contentFrames } from './zstd-frames.ts';

/**
 * A layer's bytes, whether they are compressed by gzip or zstd or not at all, in one piece or in several that follow
 * each other.
 * @throws LoadFailure `InvalidModel`, or the decoder's error, for what is damaged or cut.
 */
export async function* unpacked(
  blob: AsyncIterable<Uint8Array>,
  mediaType: string,
  shown: string,
): AsyncGenerator<Uint8Array> {
  const isZstd = /zstd$/.test(mediaType);
  const decoder: Transform = isZstd
    ? createZstdDecompress()
    : /gzip$/.test(mediaType)
      ? createGunzip()
      : new PassThrough();
  const source = isZstd ? contentFrames(blob, shown) : blob;
  const done = pipeline(Readable.from(source, { objectMode: false }), decoder);
  // The reader below sees the same failure first, and tells it.
  done.catch(() => {});
  yield* decoder as AsyncIterable<Uint8Array>;
  await done;
}
