import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../../../e2e/cluster/free-port.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { GrpcRelayFixture, message, none } from '../testing/grpc-relay-fixture.ts';
import { grpcTarget } from '../testing/target-under-test.ts';

let net: GrpcRelayFixture;
beforeEach(() => {
  net = new GrpcRelayFixture();
});
afterEach(() => net.close());

describe('another pod is asked', () => {
  test('when the first cannot be reached: no call fails', async () => {
    const good = await net.pod('good');
    const { client, target } = await net.relayTo([await freePort(), good.port]);
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.unary(message, none)));
    expect(new Set(answers.map(String))).toEqual(new Set(['good']));
    expect(target.observer.snapshot()).toMatchObject({ requests: 20, errors: 0 });
  });

  test('when the first refuses the stream unread: once, with all that was sent', async () => {
    const good = await net.pod('good', { unary: (call, callback) => callback(null, call.request) });
    const refusing = await net.refusingServer();
    const { client } = await net.relayTo([refusing.port, good.port]);
    for (let index = 0; index < 4; index++) expect(String(await client.unary(message, none))).toBe('row');
    expect(refusing.refused()).toBeGreaterThan(0);
  });

  test('when the next one refuses it too, as pods do that renew their connections at once', async () => {
    const good = await net.pod('good');
    const refusing = [await net.refusingServer(), await net.refusingServer()];
    const { client } = await net.relayTo([...refusing.map(({ port }) => port), good.port]);
    expect(String(await client.unary(message, none))).toBe('good');
    expect(refusing.map(({ refused }) => refused())).toEqual([1, 1]);
  });

  test('but not when the call may have reached a model', async () => {
    const dying = await net.pod('a', { unary: () => dying.stop() });
    const other = await net.pod('b');
    const { client } = await net.relayTo([dying.port, other.port]);
    const outcomes = await Promise.allSettled([client.unary(message, none), client.unary(message, none)]);
    expect(outcomes.filter((outcome) => outcome.status === 'rejected')).toHaveLength(1);
    expect(other.calls).toBe(1);
  });

  test('of another revision, when the chosen one has lost its last pod', async () => {
    const stable = await net.pod('stable');
    const elsewhere = grpcTarget('churn-old', [stable.port]);
    const { client, target } = await net.relayTo([await freePort()], { elsewhere: [elsewhere] });
    expect(String(await client.unary(message, none))).toBe('stable');
    expect(elsewhere.observer.snapshot()).toMatchObject({ requests: 1, errors: 0 });
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
    expect(target.pool.inFlight + elsewhere.pool.inFlight).toBe(0);
  });

  test('as the fallback, when the revision takes too long', async () => {
    const slow = await net.pod('slow', { unary: () => undefined });
    const good = await net.pod('good');
    const target = grpcTarget('churn-old', [good.port]);
    const { client, target: first } = await net.relayTo([slow.port], { fallback: { target, afterMs: 30 } });
    expect(String(await client.unary(message, none))).toBe('good');
    expect(first.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
    expect(first.pool.inFlight + target.pool.inFlight).toBe(0);
  });

  test('as the fallback, but not because the client sends slowly: what a revision may take begins when it has sent all', async () => {
    const clock = new FakeClock();
    const [pod, other] = [await net.pod('chosen'), await net.pod('other')];
    const fallback = { target: grpcTarget('churn-old', [other.port]), afterMs: 30 };
    const { client, target } = await net.relayTo([pod.port], { fallback }, { clock });
    const { call, answer } = client.upload(none);
    call.write(message);
    await expect.poll(() => pod.calls).toBe(1);
    await clock.advance(1_000);
    call.end();
    expect(String(await answer)).toBe('3');
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 0 });
    expect(other.calls).toBe(0);
  });

  test('as the fallback, when the pods of the revision are busy for too long', async () => {
    const clock = new FakeClock();
    const good = await net.pod('good');
    const fallback = { target: grpcTarget('churn-old', [good.port]), afterMs: 30 };
    const { client, target } = await net.relayTo([await freePort()], { fallback }, { clock, maxInFlight: 0 });
    const answer = client.unary(message, none);
    await expect.poll(() => target.pool.waiting).toBe(1);
    await expect.poll(() => clock.waiting).toBe(1);
    await clock.advance(29);
    expect(target.pool.waiting).toBe(1);
    await clock.advance(1);
    expect(String(await answer)).toBe('good');
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
  });

  test('as the fallback, when the revision errs; the error counts against the revision', async () => {
    const bad = await net.pod('bad', { unary: (_call, callback) => callback({ code: status.INTERNAL }) });
    const good = await net.pod('good');
    const target = grpcTarget('churn-old', [good.port]);
    const { client, target: first } = await net.relayTo([bad.port], { fallback: { target } });
    expect(String(await client.unary(message, none))).toBe('good');
    expect(first.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 0 });
  });
});
