import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { KeptState } from './kept-state.ts';

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'fairlead-state-'));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}
const state = { routes: { churn: '{}' }, addresses: { 'churn-a': ['10.0.0.1'] } };

test('what is kept is read again, by another process too, and leaves nothing beside it', async () => {
  const at = await directory();
  await new KeptState(at).write({ routes: {}, addresses: {} });
  await new KeptState(at).write(state);
  expect(await new KeptState(at).read()).toEqual(state);
  expect(await readdir(at)).toEqual(['state.json']);
});

test('nothing is read where nothing was kept, or it was forgotten', async () => {
  const kept = new KeptState(await directory());
  expect(await kept.read()).toBeUndefined();
  await kept.write(state);
  await kept.forget();
  expect(await kept.read()).toBeUndefined();
});

test.each([
  ['cut off', '{"routes":{"churn"'],
  ['of another form', '{"routes":[]}'],
])('a file that is %s is an error, not a state', async (_, text) => {
  const at = await directory();
  await writeFile(join(at, 'state.json'), text);
  await expect(new KeptState(at).read()).rejects.toThrow();
});
