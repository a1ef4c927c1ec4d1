import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stepAfterChange } from './changed-steps.ts';
import { rollingOut, rolloutOf, run } from './testing/invariants.ts';
import type { CompiledRollout } from './types.ts';

describe('the step that a rollout goes on at when its steps change', () => {
  test.each([
    ['the same one', 's m10 w10 w100', 1, 'm10 w10 w100', 0, true],
    ['the same one, of others', 'w10 w50 w100', 1, 'w10 w20 w50 w80 w100', 2, true],
    ['the last that gives less', 'w10 w25 w100', 1, 'w5 w20 w100', 1, false],
    ['copies, where answers come later', 'w10 w50 w100', 1, 's m100 w60 w100', 1, false],
    ['fewer copies, where there were more', 's m50 w100', 1, 's m0.7 w100', 1, false],
    ['smoke, where copies are more', 's m10 w100', 1, 's m20 w100', 0, false],
    ['the first, where all give more', 'w10 w100', 0, 'w30 w100', 0, false],
    ['the first, where there were none', '', 0, 'w30 w100', 0, false],
    ['the first of several alike', 'm10 m10 w100', 1, 'm10 m10 w20 w100', 0, true],
    ['none, where there are none any more', 's w10 w100', 1, '', 0, false],
  ])('is %s', (_, steps, step, after, next, isSame) => {
    expect(stepAfterChange({ steps, step }, after)).toEqual({ step: next, isSame });
  });
});

describe('changes of steps and strategy', { timeout: 120_000 }, () => {
  const hold = 'UntilPromoted';
  const smoke = fc.constantFrom([], [{ smoke: {}, hold }]);
  const mirror = fc.constantFrom([], [{ mirror: '5%', hold }], [{ mirror: '50%', hold }]);
  const weights = fc
    .uniqueArray(fc.integer({ min: 1, max: 100 }), { maxLength: 4 })
    .map((list) => list.toSorted((a, b) => a - b).map((weight) => ({ weight, hold })));
  const rollout = fc
    .oneof(
      fc.tuple(smoke, mirror, weights).map((parts) => ({ strategy: 'Canary', steps: parts.flat() })),
      fc.tuple(smoke, mirror).map((parts) => ({ strategy: 'Shadow', steps: parts.flat() })),
      fc.constant({ strategy: 'BlueGreen', steps: [{ smoke: {}, hold }] }),
    )
    .filter(
      ({ strategy, steps }) => steps.some((step) => 'mirror' in step || strategy !== 'Shadow') && steps.length > 0,
    )
    .map((fields) => rolloutOf({ ...fields, analysis: { metrics: [] }, capacity: { mode: 'Surge' } }));
  const edit = fc.oneof(
    { weight: 2, arbitrary: rollout.map((to) => ({ what: 'edit' as const, to })) },
    { weight: 2, arbitrary: fc.constant({ what: 'promote' as const }) },
    { weight: 1, arbitrary: fc.constant({ what: 'evict' as const }) },
  );
  const shareOf = ({ steps }: CompiledRollout, step: number) =>
    steps[step]?.kind === 'weight' ? (steps[step]?.percent ?? 0) : 0;

  test('never give the new revision more than it was promoted to: only the first of all steps has nothing before it', () => {
    fc.assert(
      fc.property(rollout, fc.array(fc.tuple(edit, fc.nat({ max: 12 })), { maxLength: 10 }), (first, edits) => {
        const cluster = rollingOut({ rollout: first });
        let granted = shareOf(first, 0);
        const look = () => {
          run(cluster, { ticks: 1 });
          expect(cluster.weights.get('b') ?? 0).toBeLessThanOrEqual(granted);
        };
        for (const [index, [happening, ticks]] of edits.entries()) {
          const { progress } = cluster;
          if (progress !== undefined && progress.stage !== 'Stepping' && progress.target === 'b') return;
          if (happening.what === 'evict') cluster.evict('b');
          if (happening.what === 'edit') {
            cluster.rollout = happening.to;
            granted = Math.max(granted, shareOf(happening.to, 0));
          }
          if (happening.what === 'promote' && progress?.target === 'b') {
            cluster.action = `promote@b#${progress.step + 1}.${index}`;
            granted = Math.max(shareOf(cluster.rollout, progress.step + 1), shareOf(cluster.rollout, 0));
            if (progress.step + 1 === cluster.rollout.steps.length) return;
          }
          for (let tick = 0; tick <= ticks; tick++) look();
        }
      }),
      { numRuns: 150 },
    );
  });
});
