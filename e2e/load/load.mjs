// A bounded load that runs in a pod: a fixed rate of requests to one URL, their bodies in turns, each answer checked, and a
// summary as JSON on the last line of the log. Plain JavaScript without dependencies, so that the Fairlead image can run it as it is.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';

const { url, bodiesPath, ratePerSecond, durationMs, connections, timeoutMs } = JSON.parse(process.env.LOAD);
const bodies = JSON.parse(readFileSync(bodiesPath, 'utf8')).map((body) => Buffer.from(JSON.stringify(body)));
const agent = new Agent({ keepAlive: true, maxSockets: connections });
const summary = { sent: 0, ok: 0, failed: 0, failures: {}, answers: {} };

function note(counts, key) {
  counts[key] = (counts[key] ?? 0) + 1;
}

function fail(reason) {
  summary.failed++;
  note(summary.failures, reason);
}

function once() {
  const body = bodies[summary.sent++ % bodies.length];
  return new Promise((done) => {
    const sent = request(
      url,
      { method: 'POST', agent, timeout: timeoutMs, headers: { 'content-type': 'application/json', 'content-length': body.length } },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('error', (error) => {
          fail(error.code ?? error.message);
          done();
        });
        response.on('end', () => {
          if (response.statusCode === 200) {
            summary.ok++;
            note(summary.answers, JSON.stringify(JSON.parse(text).outputs?.[0]?.data));
          } else fail(`HTTP ${response.statusCode} ${text.slice(0, 200)}`);
          done();
        });
      },
    );
    sent.on('timeout', () => sent.destroy(new Error('timed out')));
    sent.on('error', (error) => {
      fail(error.code ?? error.message);
      done();
    });
    sent.end(body);
  });
}

const start = Date.now();
const inFlight = new Set();
let stopped = false;
process.once('SIGTERM', () => {
  stopped = true;
});
console.log(JSON.stringify({ started: url, ratePerSecond }));
while (!stopped && Date.now() - start < durationMs) {
  const due = Math.floor(((Date.now() - start) / 1000) * ratePerSecond);
  while (summary.sent < due) {
    const one = once();
    inFlight.add(one);
    one.then(() => inFlight.delete(one));
  }
  await new Promise((tick) => setTimeout(tick, 5));
}
await Promise.all(inFlight);
console.log(JSON.stringify(summary));
process.exit(0);
