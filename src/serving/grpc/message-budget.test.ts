import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { type handleUnaryCall, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { afterEach, expect, test, vi } from 'vitest';
import { MemoryBudget } from '../memory-budget.ts';
import { bytesMethod } from './bytes-method.ts';
import { messageBudget } from './message-budget.ts';

const MIB = 2 ** 20;
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A server that tells how long each message is, and keeps calls open while they are held. */
async function start({ maxBytes = 8 * MIB, maxReceiveMs = 60_000 } = {}) {
  const held: (() => void)[] = [];
  const isHolding = { now: false };
  const server = new Server({
    interceptors: [messageBudget({ budget: new MemoryBudget('messages', maxBytes), maxReceiveMs })],
    'grpc.max_receive_message_length': 4 * MIB,
  });
  const measure: handleUnaryCall<Buffer, Buffer> = ({ request }, callback) => {
    const answer = () => callback(null, Buffer.from(String(request.length)));
    if (isHolding.now) held.push(answer);
    else answer();
  };
  const path = '/test/Measure';
  server.addService({ Measure: bytesMethod(path) }, { Measure: measure });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  ends.push(() => server.forceShutdown());
  const session = (): ClientHttp2Session => {
    const made = connect(`http://127.0.0.1:${port}`);
    ends.push(() => made.destroy());
    return made;
  };
  const open = (of: ClientHttp2Session) => new Call(of, path);
  return { session, open, held, isHolding };
}

/** A call whose bytes the test sends as it likes. */
class Call {
  readonly #stream: ClientHttp2Stream;
  /** The status that the server gives; undefined where it only resets the call. */
  readonly status: Promise<number | undefined>;

  constructor(session: ClientHttp2Session, path: string) {
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
    this.#stream = session.request(headers);
    let code: number | undefined;
    const read = (fields: Record<string, unknown>) => {
      if (fields['grpc-status'] !== undefined) code = Number(fields['grpc-status']);
    };
    this.#stream
      .on('response', read)
      .on('trailers', read)
      .on('error', () => undefined)
      .resume();
    this.status = once(this.#stream, 'close').then(() => code);
  }

  /** Sends the beginning of a message of `length` bytes, and waits until the server took it. */
  async send(length: number, sent: number, flag = 0): Promise<void> {
    const frame = Buffer.alloc(5 + sent);
    frame.writeUInt8(flag, 0);
    frame.writeUInt32BE(length, 1);
    await new Promise<void>((resolve) => this.#stream.write(frame, () => resolve()));
  }

  /** Sends the beginning of a message of `length` bytes, each byte in a piece of its own, as long as they are taken. */
  async sendBytewise(length: number, sent: number): Promise<void> {
    await this.send(length, 0);
    for (let index = 0; index < sent && this.#stream.writable; index++) {
      await new Promise<void>((resolve) => this.#stream.write(Buffer.alloc(1), () => resolve()));
    }
  }

  finish(): void {
    this.#stream.end();
  }

  abandon(): void {
    this.#stream.close();
  }
}

test('messages of any length pass while there is room, and give their room back', async () => {
  const { session, open } = await start({ maxBytes: 8 * MIB });
  for (const length of [0, 10, 65_531, 65_532, 3 * MIB, 3 * MIB, 3 * MIB]) {
    const call = open(session());
    await call.send(length, length);
    call.finish();
    expect(await call.status).toBe(status.OK);
  }
});

test('beginnings of messages that clients do not finish fill the budget of all connections, and no more', async () => {
  const { session, open } = await start({ maxBytes: 8 * MIB });
  const stalled = [open(session()), open(session())];
  // Each is held twice: in its pieces, and as one.
  for (const call of stalled) await call.send(4 * MIB, 2 * MIB - 10_000);
  const refused = open(session());
  void refused.send(3 * MIB, 3 * MIB);
  expect(await refused.status).toBe(status.RESOURCE_EXHAUSTED);
  const usual = open(session());
  await usual.send(1_000, 1_000);
  usual.finish();
  expect(await usual.status).toBe(status.OK);
  for (const call of stalled) call.abandon();
  await Promise.all(stalled.map((call) => call.status));
  const later = open(session());
  await later.send(3 * MIB, 3 * MIB);
  later.finish();
  expect(await later.status).toBe(status.OK);
});

test('a message in many small pieces counts with what its pieces take', async () => {
  const { session, open } = await start({ maxBytes: 100_000 });
  const scattered = open(session());
  await scattered.sendBytewise(2_000, 1_000);
  expect(await scattered.status).toBe(status.RESOURCE_EXHAUSTED);
});

test('messages count until they are answered', async () => {
  const { session, open, held, isHolding } = await start({ maxBytes: 8 * MIB });
  isHolding.now = true;
  const served = open(session());
  await served.send(3 * MIB, 3 * MIB);
  served.finish();
  await expect.poll(() => held.length).toBe(1);
  const refused = open(session());
  void refused.send(3 * MIB, 3 * MIB);
  expect(await refused.status).toBe(status.RESOURCE_EXHAUSTED);
  held[0]?.();
  expect(await served.status).toBe(status.OK);
});

test.each([
  ['long', 3 * MIB, MIB],
  ['short', 100, 99],
])('a %s message that does not arrive in time is given up', async (_, length, sent) => {
  const { session, open } = await start({ maxReceiveMs: 50 });
  const stalled = open(session());
  await stalled.send(length, sent);
  expect(await stalled.status).toBe(status.DEADLINE_EXCEEDED);
});

test('a message that comes whole in one piece costs no timer', async () => {
  const maxReceiveMs = 54_321;
  const { session, open } = await start({ maxReceiveMs });
  const setTimer = vi.spyOn(globalThis, 'setTimeout');
  ends.push(() => setTimer.mockRestore());
  for (const length of [0, 1_000]) {
    const call = open(session());
    await call.send(length, length);
    call.finish();
    expect(await call.status).toBe(status.OK);
  }
  expect(setTimer.mock.calls.filter(([, ms]) => ms === maxReceiveMs)).toEqual([]);
});

test('a compressed message is refused before it is unpacked', async () => {
  const { session, open } = await start();
  const call = open(session());
  await call.send(100, 100, 1);
  call.finish();
  expect(await call.status).toBe(status.UNIMPLEMENTED);
});
