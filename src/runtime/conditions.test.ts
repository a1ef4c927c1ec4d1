import { describe, expect, test } from 'vitest';
import { type ConditionUpdate, findCondition, setConditions } from './conditions.ts';

const T0 = Date.UTC(2026, 0, 1, 12);
const ready = (status: 'True' | 'False', reason = 'R', message = 'm'): ConditionUpdate => ({
  type: 'Ready',
  status,
  reason,
  message,
});

describe('conditions', () => {
  test('the transition time moves only when the status does', () => {
    const first = setConditions(undefined, [ready('False')], { generation: 1, nowMs: T0 });
    const second = setConditions(first, [ready('False', 'Other', 'more')], { generation: 2, nowMs: T0 + 60_000 });
    const third = setConditions(second, [ready('True')], { generation: 2, nowMs: T0 + 120_000 });
    expect([first, second, third].map((list) => findCondition(list, 'Ready')?.lastTransitionTime)).toEqual([
      '2026-01-01T12:00:00Z',
      '2026-01-01T12:00:00Z',
      '2026-01-01T12:02:00Z',
    ]);
    expect(findCondition(second, 'Ready')).toMatchObject({ reason: 'Other', message: 'more', observedGeneration: 2 });
  });

  test('stand in the same order however they were set, and keep those of others', () => {
    const others = setConditions(undefined, [{ type: 'Zeta', status: 'True', reason: 'R', message: '' }], {
      generation: 1,
      nowMs: T0,
    });
    const all = setConditions(others, [ready('True'), { ...ready('True'), type: 'Accepted' }], {
      generation: 1,
      nowMs: T0,
    });
    expect(all.map(({ type }) => type)).toEqual(['Accepted', 'Ready', 'Zeta']);
    expect(
      setConditions(all, [{ ...ready('True'), type: 'Accepted' }, ready('True')], { generation: 1, nowMs: T0 + 5_000 }),
    ).toEqual(all);
  });

  test('setting what already holds changes nothing', () => {
    const once = setConditions(undefined, [ready('True')], { generation: 4, nowMs: T0 });
    expect(setConditions(once, [ready('True')], { generation: 4, nowMs: T0 + 1e9 })).toEqual(once);
  });
});
