import fc from 'fast-check';
import { expect, test } from 'vitest';
import { latestProgress, type Progress, parseProgress, progressText } from './progress.ts';

const progress: Progress = {
  sequence: 3,
  target: 'churn-b',
  from: 'churn-a',
  stage: 'Stepping',
  startedAtMs: 1,
  step: 2,
  steps: 's w10 w100',
  heldSinceMs: 5,
  pause: { reason: 'InsufficientData', message: '312 of 500 requests', atMs: 6 },
};

test('progress is read as it was written, whatever the order it was made in', () => {
  const { sequence, ...rest } = progress;
  expect(parseProgress(progressText(progress))).toEqual(progress);
  expect(progressText({ ...rest, sequence })).toBe(progressText(progress));
});

test.each([
  ['nothing', undefined],
  ['text that is no JSON', '{'],
  ['a field that is not ours', JSON.stringify({ ...progress, teleport: true })],
  ['a stage that there is not', JSON.stringify({ ...progress, stage: 'Flying' })],
  ['a negative step', JSON.stringify({ ...progress, step: -1 })],
  ['more than is ever written', `${' '.repeat(10_000)}${JSON.stringify(progress)}`],
])('%s is no progress: a rollout begins anew, which is safe', (_rule, text) => {
  expect(parseProgress(text)).toBeUndefined();
});

test('any text is read or passed over, and never thrown at', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseProgress(text)));
});

test('of several the one with the highest sequence is in force', () => {
  const texts = [1, 4, 2].map((sequence) => progressText({ ...progress, sequence }));
  expect(latestProgress([undefined, ...texts, 'x'])?.sequence).toBe(4);
  expect(latestProgress([])).toBeUndefined();
});
