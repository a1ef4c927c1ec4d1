import { ChunkReader } from './chunk-reader.ts';
import { LoadFailure } from './failure.ts';

/** The format is RFC 8878, section 3.1; numbers are little-endian. */
const MAGIC = 0xfd2f_b528;
/** The first of 16 magic numbers of frames that hold no content, such as the index of zstd:chunked. */
const SKIPPABLE_MAGIC = 0x184d_2a50;
/** The type of a block that is one byte, to be repeated as often as its size says. */
const REPEATED = 1;

/**
 * The frames of a zstd stream that hold content, in chunks of which none reaches into the next frame: where a frame ends
 * amid a chunk, Node's decoder ends its output, and the frames that follow would be lost.
 * @throws LoadFailure `InvalidModel` for what is no zstd, or ends amid a frame.
 */
export async function* contentFrames(stream: AsyncIterable<Uint8Array>, shown: string): AsyncGenerator<Uint8Array> {
  const reader = new ChunkReader(stream, shown);
  for (;;) {
    const start = await reader.exactlyOrEnd(4);
    if (start === undefined) return;
    const magic = start.readUInt32LE();
    if (magic >>> 4 === SKIPPABLE_MAGIC >>> 4) {
      await reader.skip((await reader.exactly(4)).readUInt32LE());
      continue;
    }
    if (magic !== MAGIC) throw new LoadFailure('InvalidModel', `${shown}: the archive is damaged`);
    const descriptor = await reader.exactly(1);
    const { headerBytes, checksumBytes } = frameSizes(descriptor.readUInt8());
    yield Buffer.concat([start, descriptor, await reader.exactly(headerBytes)]);
    for (let isLast = false; !isLast; ) {
      const header = await reader.exactly(3);
      const bits = header.readUIntLE(0, 3);
      isLast = (bits & 1) === 1;
      const contentBytes = ((bits >> 1) & 3) === REPEATED ? 1 : bits >> 3;
      yield Buffer.concat([header, await reader.exactly(contentBytes)]);
    }
    yield await reader.exactly(checksumBytes);
  }
}

/** What follows a frame's descriptor before its first block, and its last one. */
function frameSizes(descriptor: number): { readonly headerBytes: number; readonly checksumBytes: number } {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const windowBytes = isSingleSegment ? 0 : 1;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const contentSizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  return { headerBytes: windowBytes + dictionaryBytes + contentSizeBytes, checksumBytes: descriptor & 4 };
}
