const TYPES = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6 } as const;

export const END_STREAM = 1;
const END_HEADERS = 4;

/** One frame of HTTP/2, for peers that do what no client of a library does. */
export function frame(type: keyof typeof TYPES, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(TYPES[type], 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** How a client begins a connection. */
export const PREFACE: Buffer = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame('settings', 0, 0, Buffer.alloc(0)),
]);

/** The head of a unary call, on stream 1. */
export function callHead(fields: Readonly<Record<string, string>>): Buffer {
  const all = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': '/test.Pod/Unary',
    ':authority': 'x',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...fields,
  };
  // Literal fields without indexing and without Huffman coding: a 0 byte, and both texts after their lengths.
  const block = Object.entries(all).map(([name, value]) =>
    Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]),
  );
  return frame('headers', END_HEADERS, 1, Buffer.concat(block));
}

/** Ends stream 1. */
export const reset = (code: number): Buffer => frame('reset', 0, 1, Buffer.from([0, 0, 0, code]));
