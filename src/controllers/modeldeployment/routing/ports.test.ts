import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ROUTER_PORT_RANGE } from '../../../api/names.ts';
import { PortBook, type RoutesAt, restPortOf } from './ports.ts';

const free: RoutesAt = () => [];
const taken =
  (http: number, isOlder = true): RoutesAt =>
  (port) =>
    port === http ? [{ isOlder }] : [];

test('a name always leads to the same even port in the range', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 52 }), (name) => {
      const port = restPortOf(name, undefined, free);
      expect(port % 2).toBe(0);
      expect(port).toBeGreaterThanOrEqual(ROUTER_PORT_RANGE.first);
      expect(port + 1).toBeLessThanOrEqual(ROUTER_PORT_RANGE.last);
      expect(restPortOf(name, undefined, free)).toBe(port);
    }),
  );
});

test.each([
  ['keeps what it has', 12_000, free, 12_000],
  ['keeps what a younger one has too', 12_000, taken(12_000, false), 12_000],
  ['gives up what an older one has too', 12_000, taken(12_000), restPortOf('churn', undefined, free)],
])('a route %s', (_rule, held, others, expected) => {
  expect(restPortOf('churn', held, others)).toBe(expected);
});

test('a new route takes the next pair that is free, around the end of the range', () => {
  const first = restPortOf('churn', undefined, free);
  expect(restPortOf('churn', undefined, taken(first))).toBe(
    first + 2 > ROUTER_PORT_RANGE.last ? ROUTER_PORT_RANGE.first : first + 2,
  );
});

test('a namespace without a free pair is refused with the number', () => {
  expect(() => restPortOf('churn', undefined, () => [{ isOlder: false }])).toThrow('all 10000 pairs');
});

test('a port that was given out is not given to another of the namespace before it is seen in a route', () => {
  const book = new PortBook();
  const first = book.restPortOf({ namespace: 'shop', name: 'churn' }, undefined, free);
  const names = [...Array(50_000).keys()].map((index) => `m-${index}`);
  const like = names.find((name) => restPortOf(name, undefined, free) === first) ?? '';
  expect(book.restPortOf({ namespace: 'bank', name: like }, undefined, free)).toBe(first);
  expect(book.restPortOf({ namespace: 'shop', name: like }, undefined, free)).not.toBe(first);
  book.forget('shop/churn');
  book.forget(`shop/${like}`);
  expect(book.restPortOf({ namespace: 'shop', name: like }, undefined, free)).toBe(first);
});
