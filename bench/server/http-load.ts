import { connect } from 'node:net';
import { answerJobs } from './load-job.ts';

/**
 * Load over HTTP/1.1: every connection sends the same bytes again as soon as the answer is whole. It reads just enough of
 * an answer to know its end and that it is a 200, so that one core can drive a server on another.
 */
const HEAD_END = Buffer.from('\r\n\r\n');

answerJobs((job, payload, meter) => {
  const socket = connect({ port: job.port, host: '127.0.0.1', noDelay: true });
  let sentAtMs = 0;
  let pending: Buffer | undefined;
  let missing = 0;
  const send = (): void => {
    sentAtMs = performance.now();
    socket.write(payload);
  };
  const done = (): void => {
    meter.answered(sentAtMs);
    send();
  };
  socket.on('connect', send);
  socket.on('error', fail);
  socket.on('data', (chunk) => {
    if (missing > 0) {
      missing -= chunk.length;
      if (missing === 0) done();
      return;
    }
    const data: Buffer = pending === undefined ? chunk : Buffer.concat([pending, chunk]);
    const headEnd = data.indexOf(HEAD_END);
    if (headEnd === -1) {
      pending = data;
      return;
    }
    pending = undefined;
    const head = data.toString('latin1', 0, headEnd);
    const length = /\ncontent-length: ([0-9]+)/i.exec(head)?.[1];
    if (!head.startsWith('HTTP/1.1 200') || length === undefined) fail(new Error(data.toString('latin1', 0, 500)));
    missing = headEnd + HEAD_END.length + Number(length) - data.length;
    if (missing === 0) done();
  });
  return () => socket.removeAllListeners('data').destroy();
});

function fail(error: Error): never {
  console.error(`the server under load answered wrongly: ${error.message}`);
  process.exit(1);
}
