import { connect, createServer, type Socket } from 'node:net';

/**
 * The bar: a relay over node:net that finds the end of heads and their lengths and nothing else. It checks nothing, retries
 * nothing and counts nothing. `bare-relay.ts PORT BACKEND BACKEND`: nine of ten requests go to the first.
 */
const [port, stable = 0, canary = 0] = process.argv.slice(2).map(Number);
const HEAD_END = Buffer.from('\r\n\r\n');

/** Bytes of the message that begins with `data`; undefined while its head is not whole. */
function messageBytes(data: Buffer): number | undefined {
  const headEnd = data.indexOf(HEAD_END);
  if (headEnd === -1) return undefined;
  const length = /\ncontent-length: ([0-9]+)/i.exec(data.toString('latin1', 0, headEnd))?.[1] ?? '0';
  return headEnd + HEAD_END.length + Number(length);
}

interface Upstream {
  readonly socket: Socket;
  receive: (chunk: Buffer) => void;
}
const idle = new Map<number, Upstream[]>([
  [stable, []],
  [canary, []],
]);

function take(backend: number): Upstream {
  const kept = idle.get(backend)?.pop();
  if (kept !== undefined) return kept;
  const socket = connect({ port: backend, host: '127.0.0.1', noDelay: true });
  const upstream: Upstream = { socket, receive: () => undefined };
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => upstream.receive(chunk));
  return upstream;
}

createServer({ noDelay: true }, (client) => {
  let upstream: Upstream | undefined;
  let backend = 0;
  let pending: Buffer | undefined;
  let missing = 0;
  let answerMissing = 0;
  const receive = (chunk: Buffer): void => {
    if (answerMissing === 0) answerMissing = messageBytes(chunk) ?? Number.NaN;
    answerMissing -= chunk.length;
    client.write(chunk);
    if (answerMissing !== 0 || upstream === undefined) return;
    idle.get(backend)?.push(upstream);
    upstream = undefined;
  };
  client.on('error', () => client.destroy());
  client.on('data', (chunk: Buffer) => {
    if (missing > 0) {
      missing -= chunk.length;
      upstream?.socket.write(chunk);
      return;
    }
    const data: Buffer = pending === undefined ? chunk : Buffer.concat([pending, chunk]);
    const total = messageBytes(data);
    pending = total === undefined ? data : undefined;
    if (total === undefined) return;
    missing = total - data.length;
    backend = Math.random() < 0.1 ? canary : stable;
    upstream = take(backend);
    upstream.receive = receive;
    upstream.socket.write(data);
  });
}).listen(port, '127.0.0.1', () => console.log('listening'));
