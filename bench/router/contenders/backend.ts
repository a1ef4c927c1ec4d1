import { createServer } from 'node:net';

/**
 * A pod that costs nearly nothing: `backend.ts PORT`. It finds the end of each request and answers with the same bytes,
 * so that what is measured in front of it is not measured here.
 */
const HEAD_END = Buffer.from('\r\n\r\n');
const body = JSON.stringify({
  model_name: 'm',
  outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 1], data: [0.5] }],
});
const answer = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=75\r\n\r\n${body}`,
);

createServer({ noDelay: true }, (socket) => {
  let pending: Buffer | undefined;
  let missing = 0;
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    if (missing > 0) {
      missing -= chunk.length;
      if (missing === 0) socket.write(answer);
      return;
    }
    const data: Buffer = pending === undefined ? chunk : Buffer.concat([pending, chunk]);
    const headEnd = data.indexOf(HEAD_END);
    if (headEnd === -1) {
      pending = data;
      return;
    }
    pending = undefined;
    const length = /\ncontent-length: ([0-9]+)/i.exec(data.toString('latin1', 0, headEnd))?.[1] ?? '0';
    missing = headEnd + HEAD_END.length + Number(length) - data.length;
    if (missing === 0) socket.write(answer);
  });
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'));
