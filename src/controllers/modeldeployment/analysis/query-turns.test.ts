import { expect, test } from 'vitest';
import { QUERIES_AT_ONCE, QueryTurns } from './query-turns.ts';

const { ofNamespace, toServer, all } = QUERIES_AT_ONCE;
const forever = new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Queries that hang until they are let go. */
function hanging(turns = new QueryTurns()) {
  const asked: { namespace: string; address: string; answer: () => void }[] = [];
  const ask = (namespace: string, address: string, signal = forever) => {
    const run = () => new Promise<void>((answer) => asked.push({ namespace, address, answer }));
    const ended = turns.run({ namespace, address }, run, signal);
    ended.catch(() => undefined);
    return ended;
  };
  const askMany = (count: number, namespace: (k: number) => string, address: (k: number) => string) => {
    for (let k = 0; k < count; k += 1) void ask(namespace(k), address(k));
  };
  return { asked, ask, askMany };
}

test('a namespace whose servers do not answer holds up no other namespace, not even at the same server', async () => {
  const { asked, ask, askMany } = hanging();
  askMany(
    100,
    () => 'bad',
    () => 'http://shared:9090',
  );
  askMany(
    100,
    () => 'bad',
    (k) => `http://hangs-${k}:9090`,
  );
  void ask('good', 'http://shared:9090/prometheus');
  await settled();
  expect(asked.filter(({ namespace }) => namespace === 'bad')).toHaveLength(ofNamespace);
  expect(asked.filter(({ namespace }) => namespace === 'good')).toHaveLength(1);
});

test('a server that does not answer holds up no other server, whoever asks it by whatever path', async () => {
  const { asked, ask, askMany } = hanging();
  askMany(
    200,
    (k) => `namespace-${k}`,
    (k) => `http://hangs:9090/${k}`,
  );
  void ask('good', 'http://works:9090');
  await settled();
  expect(asked.filter(({ address }) => address.startsWith('http://hangs'))).toHaveLength(toServer);
  expect(asked.filter(({ address }) => address === 'http://works:9090')).toHaveLength(1);
});

test('all together are bounded, and each has its turn once others are done', async () => {
  const { asked, askMany } = hanging();
  askMany(
    200,
    (k) => `namespace-${k}`,
    (k) => `http://server-${k}`,
  );
  await settled();
  expect(asked).toHaveLength(all);
  for (let done = 0; done < 200; done += 1) {
    asked[done]?.answer();
    await settled();
  }
  expect(asked).toHaveLength(200);
});

test('one that is cut short while it waits leaves, and its place to others', async () => {
  const { asked, ask, askMany } = hanging();
  askMany(
    ofNamespace,
    () => 'one',
    () => 'http://hangs',
  );
  const cut = new AbortController();
  const waiting = ask('one', 'http://hangs', cut.signal);
  cut.abort(new Error('no longer asked for'));
  await expect(waiting).rejects.toThrow('no longer asked for');
  void ask('one', 'http://works');
  asked[0]?.answer();
  await settled();
  expect(asked.at(-1)?.address).toBe('http://works');
});

test('what a query throws is thrown on', async () => {
  const turns = new QueryTurns();
  const refused = () => Promise.reject(new Error('refused'));
  await expect(turns.run({ namespace: 'one', address: 'no url' }, refused, forever)).rejects.toThrow('refused');
});
