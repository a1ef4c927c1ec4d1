import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ApiClient, splitLines } from './api-client.ts';
import { ConnectionError } from './api-error.ts';
import type { ApiRequest, Transport } from './kube-transport.ts';
import { StoppedError } from './outcome.ts';
import { compareResourceVersions, defineResource, type KubeObject } from './types.ts';

const widgets = defineResource<KubeObject>({
  group: 'example.dev',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  namespaced: true,
});

function recording(
  answer: (request: ApiRequest) => Promise<unknown> = async () => ({}),
): Transport & { requests: ApiRequest[] } {
  const requests: ApiRequest[] = [];
  return {
    requests,
    json: async (request) => {
      requests.push(request);
      return await answer(request);
    },
    stream: () => {
      throw new Error('not used');
    },
    close: async () => undefined,
  };
}

describe('splitting a stream into lines', () => {
  test('gives the same lines however the bytes are cut, also inside of a character', async () => {
    const lines = fc.array(fc.string({ unit: 'grapheme', minLength: 1 }).filter((line) => !line.includes('\n')));
    await fc.assert(
      fc.asyncProperty(lines, fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), async (expected, sizes) => {
        const bytes = Buffer.from(expected.map((line) => `${line}\n`).join(''));
        async function* chunks(): AsyncGenerator<Uint8Array> {
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const size = sizes[turn % sizes.length] ?? 1;
            yield bytes.subarray(at, at + size);
            at += size;
          }
        }
        const seen: string[] = [];
        for await (const line of splitLines(chunks())) seen.push(line);
        expect(seen).toEqual(expected);
      }),
    );
  });

  test('drops a last line that was cut off', async () => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('{"a":1}\n{"b":');
    }
    const seen: string[] = [];
    for await (const line of splitLines(chunks())) seen.push(line);
    expect(seen).toEqual(['{"a":1}']);
  });
});

describe('an API client behind a fence', () => {
  const closed = {
    signal: AbortSignal.abort(),
    assertMayWrite: () => {
      throw new StoppedError('not the leader');
    },
  };
  const name = { namespace: 'n', name: 'a' };
  const manifest = { apiVersion: 'example.dev/v1', kind: 'Widget', metadata: name };

  test.each<[string, (client: ApiClient) => Promise<unknown>]>([
    ['create', (client) => client.create(widgets, manifest)],
    ['update', (client) => client.update(widgets, manifest)],
    ['apply', (client) => client.apply(widgets, manifest, true)],
    ['mergePatch', (client) => client.mergePatch(widgets, name, {})],
    ['jsonPatch', (client) => client.jsonPatch(widgets, name, [])],
    ['updateScale', (client) => client.updateScale(widgets, name, 1)],
    ['delete', (client) => client.delete(widgets, name)],
  ])('refuses to %s without a request', async (_verb, write) => {
    const transport = recording();
    await expect(write(new ApiClient(transport, 'test').fencedBy(closed))).rejects.toBeInstanceOf(StoppedError);
    expect(transport.requests).toEqual([]);
  });

  test('still reads', async () => {
    const transport = recording();
    await new ApiClient(transport, 'test').fencedBy(closed).get(widgets, name);
    expect(transport.requests.map(({ path }) => path)).toEqual(['/apis/example.dev/v1/namespaces/n/widgets/a']);
  });

  test('cuts off a write in flight when the fence closes, and says that it was stopped', async () => {
    const lost = new AbortController();
    const transport = recording(
      ({ signal }) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(new ConnectionError('PATCH', signal.reason)));
        }),
    );
    const client = new ApiClient(transport, 'test').fencedBy({ signal: lost.signal, assertMayWrite: () => undefined });
    const writing = client.apply(widgets, manifest, true);
    lost.abort();
    await expect(writing).rejects.toBeInstanceOf(StoppedError);
  });
});

test('resource versions are ordered as numbers, beyond what a double holds', () => {
  const versions = ['9', '10', '9007199254740993', '9007199254740992', '18446744073709551615', undefined];
  expect(versions.sort(compareResourceVersions)).toEqual([
    '9',
    '10',
    '9007199254740992',
    '9007199254740993',
    '18446744073709551615',
    undefined,
  ]);
  expect(compareResourceVersions(undefined, '1')).toBeLessThan(0);
});
