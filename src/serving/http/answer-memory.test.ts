import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { FakeClock } from '../testing/fake-clock.ts';
import { FakeSession } from '../testing/fake-session.ts';
import { served } from '../testing/served.ts';
import { InferenceHttpServer } from './inference-http-server.ts';

const MIB = 2 ** 20;

/** A server of a model that answers with as many zeros as its input says. */
async function start(maxBodyBytes: number) {
  const session = new FakeSession({
    inputs: [{ name: 'count', datatype: 'INT32', shape: [-1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
    run: async ([input]) => {
      const count = Number(input?.data[0]);
      return [{ name: 'y', datatype: 'FP32', shape: [count], data: new Float32Array(count) }];
    },
  });
  const fixture = served({ session, batching: { maxBatchSize: 1, maxDelayMs: 0, maxQueueSize: 100 } });
  const http = new InferenceHttpServer({
    ...fixture,
    maxRequestBytes: 10_000,
    maxBodyBytes,
    serverVersion: '1.2.3',
    clock: new FakeClock(),
    random: () => 0.5,
    onRefused: () => undefined,
  });
  http.server.listen(0, '127.0.0.1');
  await once(http.server, 'listening');
  onTestFinished(() => {
    http.server.close();
    http.server.closeAllConnections();
  });
  const { port } = http.server.address() as AddressInfo;
  const body = (count: number, isBinary: boolean): string =>
    JSON.stringify({
      inputs: [{ name: 'count', datatype: 'INT32', shape: [1], data: [count] }],
      parameters: { binary_data_output: isBinary },
    });
  const infer = async (count: number, isBinary = true) => {
    const response = await fetch(`http://127.0.0.1:${port}/v2/models/m/infer`, {
      method: 'POST',
      body: body(count, isBinary),
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  /** A client that asks, and reads no more than the beginning of its answer. */
  const unread = async (count: number): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    const text = body(count, true);
    socket.write(`POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
    await once(socket, 'readable');
    return socket;
  };
  return { ...fixture, infer, unread };
}

test('large answers count until they are read: one that finds no room is 429, and its model has been asked', async () => {
  const { infer, unread, metrics } = await start(40 * MIB);
  const count = (16 * MIB) / 4;
  const [first] = [await unread(count), await unread(count)];
  const refused = await infer(count);
  expect(refused.status).toBe(429);
  expect(refused.text).toMatch(/bodies and answers of other requests fill 3355\d{4} of 41943040 bytes/);
  expect(refused.headers.get('retry-after')).toBe('1');
  expect(refused.headers.has('fairlead-unprocessed')).toBe(false);
  expect(await metrics.registry.getSingleMetricAsString('model_predictions_total')).toContain('outcome="shed"} 1');
  expect((await infer(100)).status).toBe(200);
  first.destroy();
  await expect.poll(async () => (await infer(count)).status).toBe(200);
});

test('large answers that are read give their room back', async () => {
  const { infer } = await start(2 * MIB);
  for (let round = 0; round < 5; round++) {
    expect((await infer(MIB / 4)).status).toBe(200);
    const inJson = JSON.parse((await infer(MIB / 2, false)).text);
    expect(inJson.outputs[0].data).toHaveLength(MIB / 2);
  }
});

test('an answer that is larger than all of the memory is given while no other is read', async () => {
  const { infer, unread } = await start(MIB);
  expect((await infer(MIB)).status).toBe(200);
  const other = await unread(4 * MIB);
  expect((await infer(MIB)).status).toBe(429);
  other.destroy();
  await expect.poll(async () => (await infer(MIB)).status).toBe(200);
});
