import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Backend, Route } from '../../api/route.ts';
import { type Candidate, Split } from './split.ts';

type SplitRoute = Pick<Route, 'backends' | 'match' | 'sticky'>;

const backend = (revision: string, weight: number): Backend => ({ revision, weight, ports: { http: 8080 } });
const byHeader: Route['sticky'] = { source: { kind: 'Header', name: 'X-User-Id' }, seed: 'churn' };

function splitOf(route: SplitRoute, options: { away?: readonly string[]; random?: () => number } = {}) {
  const passedOver: string[] = [];
  const candidates = new Map<string, Candidate>(
    route.backends.map(({ revision }) => [revision, { revision, isReady: options.away?.includes(revision) !== true }]),
  );
  const split = new Split(route, candidates, {
    random: options.random ?? Math.random,
    onPassedOver: (revision) => passedOver.push(revision),
  });
  const choose = (headers: Readonly<Record<string, string>> = {}, lost?: string) =>
    split.choose({ get: (name) => headers[name] }, lost)?.revision;
  return { choose, passedOver };
}

/** Weights of two to five revisions that add up to 100. */
const weights = fc
  .array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 4 })
  .map((cuts) => [0, ...cuts.toSorted((a, b) => a - b), 100])
  .map((cuts) => cuts.slice(1).map((cut, index) => cut - (cuts[index] ?? 0)));
const backendsOf = (shares: readonly number[]) => shares.map((weight, index) => backend(`r${index}`, weight));
const unit = fc.string({ minLength: 1, unit: 'grapheme-ascii' });

describe('weights', () => {
  test.each([
    [0, 'canary'],
    [0.0999, 'canary'],
    [0.1, 'stable'],
    [0.999, 'stable'],
  ])('a draw of %d at weight 10 goes to the %s', (draw, revision) => {
    const { choose } = splitOf({ backends: [backend('canary', 10), backend('stable', 90)] }, { random: () => draw });
    expect(choose()).toBe(revision);
  });

  test('a weight of 0 is never drawn, whatever is away', () => {
    fc.assert(
      fc.property(
        weights,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.nat(4),
        (shares, draw, away) => {
          const { choose } = splitOf(
            { backends: backendsOf(shares) },
            { random: () => draw, away: [`r${away % shares.length}`] },
          );
          const chosen = choose();
          if (chosen !== undefined) expect(shares[Number(chosen.slice(1))]).toBeGreaterThan(0);
        },
      ),
    );
  });

  test('a revision without an endpoint gets nothing, its requests go to the others by their weights, and are counted', () => {
    const draws = Array.from({ length: 1_000 }, (_, index) => index / 1_000);
    const { choose, passedOver } = splitOf(
      { backends: [backend('a', 40), backend('b', 15), backend('c', 45)] },
      { away: ['a'], random: () => draws.shift() ?? 0 },
    );
    const counts = Map.groupBy(
      Array.from({ length: 1_000 }, () => choose()),
      (revision) => revision,
    );
    expect([...counts].map(([revision, all]) => [revision, all.length])).toEqual([
      ['b', 250],
      ['c', 750],
    ]);
    expect(passedOver).toEqual(Array.from({ length: 400 }, () => 'a'));
  });

  test('what a revision had been given before it lost its endpoints goes to the others by their weights, and is counted', () => {
    const draws = Array.from({ length: 1_000 }, (_, index) => index / 1_000);
    const { choose, passedOver } = splitOf(
      { backends: [backend('a', 40), backend('b', 15), backend('c', 45)] },
      { away: ['a'], random: () => draws.shift() ?? 0 },
    );
    const chosen = Array.from({ length: 1_000 }, () => choose({}, 'a'));
    expect(chosen.filter((revision) => revision === 'b')).toHaveLength(250);
    expect(passedOver).toHaveLength(1_000);
  });

  test('what a header had sent to a revision that lost its endpoints is drawn for, and counted once', () => {
    const { choose, passedOver } = splitOf(
      {
        backends: [backend('a', 50), backend('b', 50)],
        match: [{ name: 'x-tester', value: 'yes', revision: 'a' }],
      },
      { away: ['a'], random: () => 0.7 },
    );
    expect([choose({ 'x-tester': 'yes' }, 'a'), passedOver]).toEqual(['b', ['a']]);
  });

  test('nothing is chosen while none that has a weight has an endpoint', () => {
    const { choose } = splitOf({ backends: [backend('a', 100), backend('b', 0)] }, { away: ['a'] });
    expect(choose()).toBeUndefined();
  });
});

describe('sticky by unit', () => {
  test('a unit gets the same revision in every process, whatever is drawn', () => {
    fc.assert(
      fc.property(weights, unit, (shares, user) => {
        const route = { backends: backendsOf(shares), sticky: byHeader };
        const chosen = [0, 0.5, 0.99].map((draw) =>
          splitOf(route, { random: () => draw }).choose({ 'x-user-id': user }),
        );
        expect(new Set(chosen).size).toBe(1);
      }),
    );
  });

  test('when the weight of the first grows, users only move into it; at 0 all have left', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.nat(100), unit, (one, other, user) => {
        const [lower, higher] = [Math.min(one, other), Math.max(one, other)];
        const at = (weight: number) =>
          splitOf({ backends: [backend('canary', weight), backend('stable', 100 - weight)], sticky: byHeader }).choose({
            'x-user-id': user,
          });
        if (at(lower) === 'canary') expect(at(higher)).toBe('canary');
        expect(at(0)).toBe('stable');
      }),
    );
  });

  test('while a revision is away its users stay together elsewhere, and nobody else moves', () => {
    fc.assert(
      fc.property(weights, unit, fc.nat(4), (shares, user, index) => {
        const route = { backends: backendsOf(shares), sticky: byHeader };
        const away = `r${index % shares.length}`;
        const headers = { 'x-user-id': user };
        const usual = splitOf(route).choose(headers);
        const now = splitOf(route, { away: [away] }).choose(headers);
        if (usual !== away) expect(now).toBe(usual);
        else expect(now).toBe(splitOf(route, { away: [away] }).choose(headers));
        expect(now).not.toBe(away);
      }),
    );
  });

  test.each([
    ['a header', byHeader, { 'x-user-id': 'user-1' }],
    [
      'a cookie',
      { source: { kind: 'Cookie' as const, name: 'uid' }, seed: 'churn' },
      { cookie: 'a=b; uid="user-1"; c=d' },
    ],
  ])('the unit is found in %s', (_, sticky, headers) => {
    const backends = Array.from({ length: 10 }, (_, index) => backend(`r${index}`, 10));
    // fnv1a32(str(fnv1a32('churnuser-1'))) % 10000 lies in one tenth; chance would seldom name it a hundred times.
    const { choose } = splitOf({ backends, sticky });
    const chosen = new Set(Array.from({ length: 100 }, () => choose(headers)));
    expect(chosen.size).toBe(1);
    expect([...chosen]).toEqual([splitOf({ backends, sticky: byHeader }).choose({ 'x-user-id': 'user-1' })]);
  });

  test('bytes of a header that are UTF-8 are hashed as the text that they are', () => {
    const backends = Array.from({ length: 10 }, (_, index) => backend(`r${index}`, 10));
    const sticky = { ...byHeader, seed: 'exp1' };
    const bytes = Buffer.from('ü-3').toString('latin1');
    expect(splitOf({ backends, sticky }).choose({ 'x-user-id': bytes })).toBe('r1');
  });

  test.each([
    ['no header', {}],
    ['an empty header', { 'x-user-id': '' }],
  ])('a request with %s goes by the weights', (_, headers) => {
    const route = { backends: [backend('canary', 10), backend('stable', 90)], sticky: byHeader };
    expect(splitOf(route, { random: () => 0.05 }).choose(headers)).toBe('canary');
    expect(splitOf(route, { random: () => 0.5 }).choose(headers)).toBe('stable');
  });
});

describe('header match', () => {
  const route = {
    backends: [backend('canary', 0), backend('stable', 100)],
    match: [{ name: 'X-Preview', value: 'yes', revision: 'canary' }],
    sticky: byHeader,
  };

  test('a match decides before weights and units, also at weight 0', () => {
    expect(splitOf(route).choose({ 'x-preview': 'yes', 'x-user-id': 'user-1' })).toBe('canary');
    expect(splitOf(route).choose({ 'x-preview': 'no' })).toBe('stable');
  });

  test('a match whose revision has no endpoint is passed over, and counted', () => {
    const { choose, passedOver } = splitOf(route, { away: ['canary'] });
    expect(choose({ 'x-preview': 'yes' })).toBe('stable');
    expect(passedOver).toEqual(['canary']);
  });
});
