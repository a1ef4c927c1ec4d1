import { connect, type Socket } from 'node:net';
import type { PacedJob, PacedResult } from './paced.ts';

/**
 * Requests at a fixed rate, whatever becomes of those before: each is due at its own time, and waits for a connection
 * where all are busy. Its latency runs from when it was due, so that a pause of the server counts for every request that
 * fell into it, not only for those that were on their way. The generator's own timer is no part of it: a request is due
 * when the timer that would send it fires.
 */
const HEAD_END = Buffer.from('\r\n\r\n');

process.on('message', (job: PacedJob) => {
  const payload = Buffer.from(job.payload, 'base64');
  const latenciesMs: number[] = [];
  const idle: Socket[] = [];
  const due: number[] = [];
  const startMs = performance.now();
  const measuredFromMs = startMs + job.warmUpMs;
  const endMs = measuredFromMs + job.durationMs;
  const sockets = Array.from({ length: job.connections }, () => open());
  let scheduled = 0;

  function open(): Socket {
    const socket = connect({ port: job.port, host: '127.0.0.1', noDelay: true });
    let missing = 0;
    socket.on('connect', () => free(socket));
    socket.on('error', (error) => fail(error.message));
    socket.on('data', (data) => {
      if (missing === 0) {
        const headEnd = data.indexOf(HEAD_END);
        const head = data.toString('latin1', 0, headEnd);
        const length = /\ncontent-length: ([0-9]+)/i.exec(head)?.[1];
        if (!head.startsWith('HTTP/1.1 200') || length === undefined) fail(data.toString('latin1', 0, 300));
        missing = headEnd + HEAD_END.length + Number(length);
      }
      missing -= data.length;
      if (missing !== 0) return;
      const dueMs = dueOf.get(socket) ?? 0;
      if (dueMs >= measuredFromMs) latenciesMs.push(performance.now() - dueMs);
      free(socket);
    });
    return socket;
  }
  const dueOf = new Map<Socket, number>();

  function free(socket: Socket): void {
    const dueMs = due.shift();
    if (dueMs === undefined) idle.push(socket);
    else send(socket, dueMs);
  }

  function send(socket: Socket, dueMs: number): void {
    dueOf.set(socket, dueMs);
    socket.write(payload);
  }

  const timer = setInterval(() => {
    const nowMs = performance.now();
    for (const target = ((Math.min(nowMs, endMs) - startMs) * job.perSecond) / 1000; scheduled < target; scheduled++) {
      const socket = idle.pop();
      if (socket === undefined) due.push(nowMs);
      else send(socket, nowMs);
    }
    if (nowMs < endMs) return;
    clearInterval(timer);
    setTimeout(() => {
      for (const socket of sockets) socket.removeAllListeners('data').destroy();
      const sorted = latenciesMs.sort((a, b) => a - b);
      const at = (q: number): number =>
        sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
      const result: PacedResult = { requests: sorted.length, unsent: due.length, p50Ms: at(0.5), p99Ms: at(0.99) };
      process.send?.(result);
    }, 200);
  }, 1);
});

function fail(reason: string): never {
  console.error(`the server under load answered wrongly: ${reason}`);
  process.exit(1);
}
