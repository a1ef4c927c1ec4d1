import { Agent, request } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { MAX_CONNECTION_AGE_MS } from '../connection-age.ts';
import { httpServers, identity, x } from '../testing/http-server.ts';

test('a connection that has grown old ends with its next answer, and the client goes on with a new one', async () => {
  const { url, clock } = await httpServers(onTestFinished)(identity);
  const dispatcher = new Agent({ connections: 1 });
  onTestFinished(() => dispatcher.destroy());
  const infer = JSON.stringify({ inputs: [x] });
  const closes = async (path: string, options: { method?: 'POST'; body?: string } = {}) => {
    const { headers, body } = await request(`${url}${path}`, { dispatcher, ...options });
    await body.dump();
    return headers.connection;
  };
  expect(await closes('/v2')).toBe('keep-alive');
  await clock.advance(MAX_CONNECTION_AGE_MS - 1);
  expect(await closes('/v2')).toBe('keep-alive');
  await clock.advance(1);
  expect(await closes('/v2/models/m/infer', { method: 'POST', body: infer })).toBe('close');
  expect(await closes('/v2')).toBe('keep-alive');
});
