import { describe, expect, test } from 'vitest';
import { createLogger } from 'winston';
import { ApiClient } from './api-client.ts';
import { ApiError, ConnectionError } from './api-error.ts';
import { type EventInput, EventRecorder } from './events.ts';
import type { ApiRequest, Transport } from './kube-transport.ts';
import { FakeClock, settle } from './testing/fake-clock.ts';
import type { KubeObject } from './types.ts';

function fixture(answer: (request: ApiRequest) => Promise<unknown> = async () => ({})) {
  const clock = new FakeClock();
  const requests: ApiRequest[] = [];
  const dropped: string[] = [];
  const transport: Transport = {
    json: async (request) => {
      requests.push(request);
      return await answer(request);
    },
    stream: () => {
      throw new Error('not used');
    },
    close: async () => undefined,
  };
  const recorder = new EventRecorder({
    client: new ApiClient(transport, 'test'),
    clock,
    random: () => 0.25,
    logger: createLogger({ silent: true }),
    controller: 'example.dev/operator',
    instance: 'pod-1',
    onDropped: (reason) => dropped.push(reason),
  });
  return { clock, requests, dropped, recorder };
}

const regarding = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'n', uid: `uid-${name}` },
});
const failed: EventInput = { type: 'Warning', reason: 'LoadFailed', action: 'Loading', note: 'the file is truncated' };

describe('events', () => {
  test('the first is written with what it is about', async () => {
    const { recorder, requests } = fixture();
    recorder.record(regarding('a'), failed);
    await recorder.flushed();
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({
      method: 'POST',
      path: expect.stringContaining('/apis/events.k8s.io/v1/namespaces/n/events'),
    });
    expect(requests[0]?.body).toMatchObject({
      type: 'Warning',
      reason: 'LoadFailed',
      action: 'Loading',
      note: 'the file is truncated',
      reportingController: 'example.dev/operator',
      reportingInstance: 'pod-1',
      eventTime: '2026-01-01T00:00:00.000000Z',
      regarding: { kind: 'ConfigMap', name: 'a', namespace: 'n', uid: 'uid-a' },
    });
  });

  test('repetitions are counted in a series that is written at most once a minute', async () => {
    const { recorder, requests, clock } = fixture();
    for (let second = 0; second < 150; second++) {
      recorder.record(regarding('a'), failed);
      await clock.advance(1_000);
    }
    await clock.advance(120_000);
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'PATCH', 'PATCH']);
    expect(requests.at(-1)?.body).toMatchObject({ series: { count: 150 } });
  });

  test('the same thing after a long quiet is a new event', async () => {
    const { recorder, requests, clock } = fixture();
    recorder.record(regarding('a'), failed);
    await clock.advance(400_000);
    recorder.record(regarding('a'), failed);
    await recorder.flushed();
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'POST']);
  });

  test.each([
    ['the API server did not answer', new ConnectionError('POST', new Error('refused'))],
    ['the namespace was being deleted', new ApiError('POST', 403, { reason: 'Forbidden' })],
  ])('one that was not written is told when it repeats: %s', async (_why, error) => {
    const refusals: Error[] = [error];
    const { recorder, requests, clock } = fixture(async () => {
      const refusal = refusals.pop();
      if (refusal !== undefined) throw refusal;
    });
    for (let repetition = 0; repetition < 3; repetition++) {
      recorder.record(regarding('a'), failed);
      await clock.advance(61_000);
    }
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'POST', 'PATCH']);
    expect(requests.at(-1)?.body).toMatchObject({ series: { count: 2 } });
  });

  test('a series whose Event is gone, as they are after an hour, begins anew', async () => {
    const { recorder, requests, clock } = fixture(async ({ method }) => {
      if (method === 'PATCH') throw new ApiError('PATCH', 404, { reason: 'NotFound' });
    });
    for (let repetition = 0; repetition < 3; repetition++) {
      recorder.record(regarding('a'), failed);
      await clock.advance(61_000);
    }
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'POST']);
  });

  test('a series that could not be written goes on', async () => {
    const { recorder, requests, clock } = fixture(async ({ method }) => {
      if (method === 'PATCH') throw new ConnectionError('PATCH', new Error('refused'));
    });
    for (let repetition = 0; repetition < 3; repetition++) {
      recorder.record(regarding('a'), failed);
      await clock.advance(61_000);
    }
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'PATCH']);
  });

  test('an object in a loop is held to its budget, and costs no other object its own', async () => {
    const { recorder, requests, dropped } = fixture();
    for (let attempt = 0; attempt < 100; attempt++)
      recorder.record(regarding('a'), { ...failed, note: `attempt ${attempt}` });
    recorder.record(regarding('b'), failed);
    await recorder.flushed();
    expect(requests).toHaveLength(26);
    expect(dropped).toEqual(Array(75).fill('rate-limited'));
  });

  test('telling never waits and never throws, whatever the server does', async () => {
    const { recorder, dropped } = fixture(async () => {
      throw new ApiError('POST', 403, { reason: 'Forbidden', message: 'namespace is being terminated' });
    });
    expect(() => recorder.record(regarding('a'), failed)).not.toThrow();
    await recorder.flushed();
    expect(dropped).toEqual(['refused']);
  });

  test('a server that hangs fills a buffer of a thousand and not the memory', async () => {
    const { recorder, dropped } = fixture(() => new Promise(() => undefined));
    for (let object = 0; object < 1_500; object++) recorder.record(regarding(`o${object}`), failed);
    await settle();
    expect(dropped.filter((reason) => reason === 'buffer-full')).toHaveLength(499);
  });

  test('one that found the buffer full is told when it repeats', async () => {
    const gate = Promise.withResolvers<void>();
    const { recorder, requests } = fixture(() => gate.promise);
    for (let object = 0; object < 1_500; object++) recorder.record(regarding(`o${object}`), failed);
    gate.resolve();
    await recorder.flushed();
    recorder.record(regarding('o1499'), failed);
    await recorder.flushed();
    expect(requests.at(-1)?.body).toMatchObject({ regarding: { name: 'o1499' } });
  });

  test('a note longer than the API allows is cut at a whole character', async () => {
    const { recorder, requests } = fixture();
    recorder.record(regarding('a'), { ...failed, note: 'ü'.repeat(2_000) });
    await recorder.flushed();
    const note = (requests[0]?.body as { note: string } | undefined)?.note ?? '';
    expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1_024);
    expect(note).toMatch(/^ü+\.\.\.$/);
  });
});
