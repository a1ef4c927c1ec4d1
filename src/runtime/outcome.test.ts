import { describe, expect, test } from 'vitest';
import { ApiError, ConnectionError } from './api-error.ts';
import {
  DONE,
  decide,
  describeError,
  PartialFailureError,
  requeueAfter,
  StoppedError,
  TerminalError,
  WaitingError,
} from './outcome.ts';

const conflict = new ApiError('PUT /x', 409, { reason: 'Conflict', message: 'the object has been modified' });
const throttled = new ApiError('GET /x', 429, { reason: 'TooManyRequests', details: { retryAfterSeconds: 3 } });
const ending = new ApiError('POST /x', 403, {
  reason: 'Forbidden',
  message: 'unable to create new content in namespace shop because it is being terminated',
  details: { causes: [{ reason: 'NamespaceTerminating', message: 'namespace shop is being terminated' }] },
});
const forbidden = new ApiError('POST /x', 403, { reason: 'Forbidden' });
const exists = new ApiError('POST /x', 409, { reason: 'AlreadyExists' });

describe('what follows from a reconcile', () => {
  const threw = (error: unknown) => decide({ kind: 'threw', error });

  test.each([
    ['done: nothing until something changes', decide({ kind: 'returned', result: DONE }), 'success', undefined, true],
    [
      'a wish to look again',
      decide({ kind: 'returned', result: requeueAfter(7) }),
      'requeue_after',
      { afterMs: 7 },
      true,
    ],
    ['a terminal error is not retried', threw(new TerminalError('no')), 'error', undefined, true],
    ['waiting is no failure', threw(new WaitingError('not yet', 9)), 'requeue_after', { afterMs: 9 }, true],
    ['a conflict is ordinary, and backs off', threw(conflict), 'requeue', 'rate-limited', false],
    ['an object that already exists is a failure', threw(exists), 'error', 'rate-limited', false],
    ['a throttling server says when', threw(throttled), 'error', { afterMs: 3_000 }, false],
    [
      'a server that does not answer',
      threw(new ConnectionError('GET /x', new Error('refused'))),
      'error',
      'rate-limited',
      false,
    ],
    [
      'work that was cut short is left to the next leader',
      threw(new StoppedError('stop')),
      'requeue',
      undefined,
      false,
    ],
    ['what is refused in a namespace that ends goes with it', threw(ending), 'success', undefined, true],
    ['what is forbidden otherwise may be allowed', threw(forbidden), 'error', 'rate-limited', false],
    ['a bug', threw(new TypeError('x is undefined')), 'error', 'rate-limited', false],
    ['a thrown string', threw('oops'), 'error', 'rate-limited', false],
    ['a thrown undefined', threw(undefined), 'error', 'rate-limited', false],
  ])('%s', (_title, decision, metric, requeue, forgetFailures) => {
    expect(decision.metric).toBe(metric);
    expect(decision.requeue).toEqual(requeue);
    expect(decision.forgetFailures).toBe(forgetFailures);
  });

  test.each([
    ['a bug', new TypeError('x is undefined')],
    ['what is forbidden', forbidden],
    ['a conflict', conflict],
    ['a namespace that ends', ending],
    ['a throttling server', throttled],
  ])(
    'a failure of a part is settled as the failure itself, and never waits longer than it may: %s',
    (_title, cause) => {
      expect(threw(new PartialFailureError(cause, 10_000))).toEqual({ ...threw(cause), withinMs: 10_000 });
    },
  );

  test('a failure of a part is logged by where it failed', () => {
    const cause = new TypeError('x is undefined');
    expect(new PartialFailureError(cause, 10_000).stack).toBe(cause.stack);
  });

  test('only failures that a person should look at are logged as errors', () => {
    expect(threw(conflict).log?.level).toBe('debug');
    expect(threw(new WaitingError('not yet', 9)).log?.level).toBe('info');
    expect(threw(new TerminalError('no')).log?.level).toBe('warn');
    expect(threw(new TypeError('x')).log?.level).toBe('error');
    expect(threw(ending).log).toMatchObject({ level: 'info', once: true });
  });

  test('whatever is thrown has a description', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    expect([new Error('a'), 'b', undefined, null, 7, { c: 1 }, cyclic, new RangeError('')].map(describeError)).toEqual([
      'a',
      'b',
      'thrown value undefined',
      'thrown value null',
      'thrown value 7',
      'thrown value {"c":1}',
      'thrown value of type object',
      'RangeError',
    ]);
  });
});
