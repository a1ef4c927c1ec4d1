import { connect } from 'node:net';
import { answerJobs } from './load-job.ts';

/**
 * Load over gRPC: HTTP/2 frames made once and sent again with the next stream's number, one call at a time a connection.
 * A client library would cost more than the servers it measures. An answer without a message counts as a failure.
 */
const FRAME = { data: 0, headers: 1, settings: 4, ping: 6, goaway: 7, windowUpdate: 8 } as const;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const ACK = 0x1;
const HEADER_BYTES = 9;
const MAX_WINDOW = 2 ** 31 - 1;

function frame(type: number, flags: number, stream: number, body: Buffer): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUIntBE(body.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** A header field as an HPACK literal that is not indexed; `name` is its number in the static table, or its text. */
function literal(name: number | string, value: string): Buffer {
  const text = (part: string): Buffer => Buffer.concat([Buffer.from([part.length]), Buffer.from(part)]);
  if (typeof name === 'string') return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
  return Buffer.concat([name < 15 ? Buffer.from([name]) : Buffer.from([15, name - 15]), text(value)]);
}

function openingFrames(): Buffer {
  const settings = Buffer.alloc(6);
  settings.writeUInt16BE(4, 0);
  settings.writeUInt32BE(MAX_WINDOW, 2);
  const window = Buffer.alloc(4);
  window.writeUInt32BE(MAX_WINDOW - 65_535);
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(FRAME.settings, 0, 0, settings),
    frame(FRAME.windowUpdate, 0, 0, window),
  ]);
}

answerJobs((job, payload, meter) => {
  const fields = Buffer.concat([
    Buffer.from([0x83, 0x86]),
    literal(4, job.path),
    literal(1, `127.0.0.1:${job.port}`),
    literal(31, 'application/grpc'),
    literal('te', 'trailers'),
  ]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(payload.length, 1);
  const headers = frame(FRAME.headers, END_HEADERS, 1, fields);
  const call = Buffer.concat([headers, frame(FRAME.data, END_STREAM, 1, Buffer.concat([prefix, payload]))]);
  const socket = connect({ port: job.port, host: '127.0.0.1', noDelay: true });
  let stream = -1;
  let sentAtMs = 0;
  let messageBytes = 0;
  let pending: Buffer = Buffer.alloc(0);
  const send = (): void => {
    stream += 2;
    const next = Buffer.from(call);
    next.writeUInt32BE(stream, 5);
    next.writeUInt32BE(stream, headers.length + 5);
    messageBytes = 0;
    sentAtMs = performance.now();
    socket.write(next);
  };
  const receive = (type: number, flags: number, body: Buffer): void => {
    if (type === FRAME.settings && (flags & ACK) === 0) socket.write(frame(FRAME.settings, ACK, 0, Buffer.alloc(0)));
    if (type === FRAME.ping && (flags & ACK) === 0) socket.write(frame(FRAME.ping, ACK, 0, body));
    if (type === FRAME.goaway) fail('GOAWAY');
    if (type === FRAME.data) messageBytes += body.length;
    if ((type === FRAME.data || type === FRAME.headers) && (flags & END_STREAM) !== 0) {
      if (messageBytes <= prefix.length) fail('no message in the answer');
      meter.answered(sentAtMs);
      send();
    }
  };
  socket.on('connect', () => {
    socket.write(openingFrames());
    send();
  });
  socket.on('error', (error) => fail(error.message));
  socket.on('data', (chunk: Buffer) => {
    const data = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    let offset = 0;
    while (data.length - offset >= HEADER_BYTES) {
      const end = offset + HEADER_BYTES + data.readUIntBE(offset, 3);
      if (end > data.length) break;
      receive(data.readUInt8(offset + 3), data.readUInt8(offset + 4), data.subarray(offset + HEADER_BYTES, end));
      offset = end;
    }
    pending = data.subarray(offset);
  });
  return () => socket.removeAllListeners('data').destroy();
});

function fail(reason: string): never {
  console.error(`the gRPC server under load answered wrongly: ${reason}`);
  process.exit(1);
}
