import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ROUTER_PORT_RANGE } from '../../../api/names.ts';
import { type OtherRoute, restPortOf } from './ports.ts';

const other = (http: number, isOlder = true): OtherRoute => ({ ports: { http, grpc: http + 1 }, isOlder });

test('a name always leads to the same even port in the range', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 52 }), (name) => {
      const port = restPortOf(name, undefined, []);
      expect(port % 2).toBe(0);
      expect(port).toBeGreaterThanOrEqual(ROUTER_PORT_RANGE.first);
      expect(port + 1).toBeLessThanOrEqual(ROUTER_PORT_RANGE.last);
      expect(restPortOf(name, undefined, [])).toBe(port);
    }),
  );
});

test.each([
  ['keeps what it has', 12_000, [], 12_000],
  ['keeps what a younger one has too', 12_000, [other(12_000, false)], 12_000],
  ['gives up what an older one has too', 12_000, [other(12_000)], restPortOf('churn', undefined, [])],
])('a route %s', (_rule, held, others, expected) => {
  expect(restPortOf('churn', held, others)).toBe(expected);
});

test('a new route takes the next pair that is free, around the end of the range', () => {
  const first = restPortOf('churn', undefined, []);
  expect(restPortOf('churn', undefined, [other(first)])).toBe(
    first + 2 > ROUTER_PORT_RANGE.last ? ROUTER_PORT_RANGE.first : first + 2,
  );
});

test('a namespace without a free pair is refused with the number', () => {
  const all = Array.from({ length: 10_000 }, (_, index) => other(ROUTER_PORT_RANGE.first + 2 * index));
  expect(() => restPortOf('churn', undefined, all)).toThrow('all 10000 pairs');
});
