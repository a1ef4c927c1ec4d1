/** A flag byte, which says whether the message is compressed, and four bytes of length stand before each message. */
export const PREFIX_BYTES = 5;

/** Bytes of the first message with its prefix; undefined as long as the prefix is not whole. */
export function firstFrameBytes(bytes: Buffer): number | undefined {
  return bytes.length < PREFIX_BYTES ? undefined : PREFIX_BYTES + bytes.readUInt32BE(1);
}

/** The message of bytes that hold one message and nothing else, not compressed; undefined of other bytes. */
export function onlyMessage(bytes: Buffer): Buffer | undefined {
  return firstFrameBytes(bytes) === bytes.length && bytes[0] === 0 ? bytes.subarray(PREFIX_BYTES) : undefined;
}
