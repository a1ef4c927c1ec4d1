import { Agent, request } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { MAX_CONNECTION_AGE_MS } from '../../connection-age.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { choiceOf, RelayFixture, targetOf } from '../testing/relay-fixture.ts';

test('a connection that has grown old ends with its next answer, and the client goes on with a new one', async () => {
  const net = new RelayFixture();
  onTestFinished(() => net.close());
  const dispatcher = new Agent({ connections: 1 });
  onTestFinished(() => dispatcher.destroy());
  const clock = new FakeClock();
  const pod = await net.httpPod((_request, response) => response.end('ok'));
  const { port, relay } = await net.relay(choiceOf(targetOf([pod], { clock })), {
    clock,
    times: { idleMs: 2 * MAX_CONNECTION_AGE_MS },
  });
  const closes = async () => {
    const { headers, body } = await request(`http://127.0.0.1:${port}/`, { dispatcher });
    expect(await body.text()).toBe('ok');
    return headers.connection;
  };
  expect(await closes()).toBeUndefined();
  await clock.advance(MAX_CONNECTION_AGE_MS - 1);
  expect([await closes(), relay.connections]).toEqual([undefined, 1]);
  await clock.advance(1);
  expect(await closes()).toBe('close');
  expect(await closes()).toBeUndefined();
});
