import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { silentLogger } from '../runtime/testing/cluster.ts';
import { FakeClock } from '../runtime/testing/fake-clock.ts';
import { KeptState, type RouterState } from '../serving/router/kept-state.ts';
import { StateKeeper } from './state-keeper.ts';

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'fairlead-keeper-'));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

/** A table whose one route has the generation that a test says. */
function tableAt(generation: { now: number }) {
  return {
    get report() {
      return { applied: { churn: generation.now }, refused: {} };
    },
    get texts() {
      return new Map([['churn', `route ${generation.now}`]]);
    },
    addresses: new Map([['churn-a', ['10.0.0.1']]]),
  };
}

async function keeper(kept: KeptState) {
  const generation = { now: 1 };
  const told: Promise<{ readonly generation: number | undefined; readonly kept: RouterState | undefined }>[] = [];
  const clock = new FakeClock();
  const report = {
    tell: ({ applied }: { applied: Readonly<Record<string, number>> }) => {
      const state = kept.read().catch(() => undefined);
      told.push(state.then((kept) => ({ generation: applied.churn, kept })));
    },
  };
  const subject = new StateKeeper({ kept, table: tableAt(generation), report, clock, logger: silentLogger });
  return { subject, generation, told, clock };
}

const state = (generation: number) => ({
  routes: { churn: `route ${generation}` },
  addresses: { 'churn-a': ['10.0.0.1'] },
});

test('a route is told only once it is kept, and changes that come meanwhile follow', async () => {
  const { subject, generation, told } = await keeper(new KeptState(await directory()));
  subject.routesChanged();
  generation.now = 2;
  subject.routesChanged();
  await expect.poll(async () => (await told.at(-1))?.generation).toBe(2);
  const all = await Promise.all(told);
  for (const { generation: acknowledged, kept } of all) {
    expect(Number(kept?.routes.churn?.slice('route '.length))).toBeGreaterThanOrEqual(acknowledged ?? 0);
  }
  expect(all.at(-1)?.kept).toEqual(state(2));
});

test('changes of endpoints are kept together, a second after the first', async () => {
  const kept = new KeptState(await directory());
  const { subject, clock } = await keeper(kept);
  for (let change = 0; change < 100; change++) subject.endpointsChanged();
  expect(clock.pendingTimers).toBe(1);
  await clock.advance(999);
  expect(await kept.read()).toBeUndefined();
  await clock.advance(1);
  await expect.poll(() => kept.read()).toEqual(state(1));
});

test('a router that cannot keep its routes serves and tells all the same', async () => {
  const { subject, told } = await keeper(new KeptState('/none/such'));
  subject.routesChanged();
  await expect.poll(() => Promise.all(told)).toEqual([{ generation: 1, kept: undefined }]);
});
