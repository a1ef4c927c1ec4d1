import { expect, test } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import type { Target } from '../types.ts';
import { EndpointPool } from './endpoint-pool.ts';
import { Placement } from './placement.ts';

const quiet = { granted: () => undefined, stranded: () => undefined };

function setUp(maxInFlight = 1) {
  const clock = new FakeClock();
  const room = { waiting: 0, max: 10 };
  const failed: string[] = [];
  const placement = new Placement(quiet, ({ revision }) => failed.push(revision));
  const target = (revision: string, ...addresses: readonly string[]) => {
    const pool = new EndpointPool({ clock, maxInFlight, room });
    pool.update(addresses.map((address) => ({ address, ports: { http: 8080 } })));
    const observer = { ended: () => undefined, mirrored: () => undefined, mirrorDropped: () => undefined };
    return { modelDeployment: 'm', revision, pool, observer };
  };
  /** Asks, and fails as an endpoint does that cannot be reached; `isLast` is for the try that follows. */
  const fail = (given: ReturnType<Placement['at']>, { pool }: { pool: EndpointPool }, isLast = false) => {
    if (typeof given === 'string') throw new Error(given);
    pool.release(given, 'unreachable');
    return placement.again(given, true, isLast);
  };
  return { placement, failed, target, fail, room };
}

const shown = (place: ReturnType<Placement['at']>) => (typeof place === 'string' ? place : place.address);

test('a target that is left without having failed is not told of', () => {
  const { placement, failed, target } = setUp();
  const [canary, stable]: Target[] = [target('canary'), target('stable', 's')];
  if (canary === undefined || stable === undefined) throw new Error('unreachable');
  expect([canary, stable].map((one) => shown(placement.at({ target: one, elsewhere: [] })))).toEqual(['lost', 's']);
  expect(failed).toEqual([]);
});

test('the last try goes to another revision first, and the one that failed is told of once', () => {
  const { placement, failed, target, fail } = setUp();
  const [canary, stable] = [target('canary', 'a', 'b', 'c'), target('stable', 's')];
  const second = fail(placement.at({ target: canary, elsewhere: [stable] }), canary);
  expect([shown(second), failed]).toEqual(['b', []]);
  expect([shown(fail(second, canary, true)), failed]).toEqual(['s', ['canary']]);
});

test('where others are busy a request waits for them rather than asking again whom it cannot reach', () => {
  const { placement, failed, target, fail, room } = setUp();
  const [canary, stable] = [target('canary', 'a'), target('stable', 's')];
  stable.pool.take();
  expect(fail(placement.at({ target: canary, elsewhere: [stable] }), canary)).toBe('waiting');
  expect([placement.target?.revision, stable.pool.waiting, failed]).toEqual(['stable', 1, ['canary']]);
  placement.leave();
  expect(room.waiting).toBe(0);
});

test('a target that failed a request, and then loses it while it waits there, is told of', () => {
  const { placement, failed, target } = setUp();
  const [canary, stable] = [target('canary', 'a', 'b'), target('stable', 's')];
  const taken = placement.at({ target: canary, elsewhere: [] });
  canary.pool.take();
  if (typeof taken === 'string') throw new Error(taken);
  canary.pool.release(taken, 'unreachable');
  expect(shown(placement.again(taken, true, false))).toBe('waiting');
  expect([failed, placement.hasFailed]).toEqual([[], true]);
  placement.leave();
  expect(shown(placement.at({ target: stable, elsewhere: [] }))).toBe('s');
  expect([failed, placement.hasFailed]).toEqual([['canary'], false]);
});
