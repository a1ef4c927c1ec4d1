import { expect, test } from 'vitest';
import type { RecordedReading } from '../../rollout/analysis/record.ts';
import { counts } from '../../rollout/analysis/testing/observed.ts';
import { Told } from './told.ts';

const subject = { name: 'churn', canary: 'churn-2', stable: 'churn-1' };
const revisions = { churn: { 'churn-1': counts({ requests: 1 }) } };
const reading: RecordedReading = {
  atMs: 0,
  routers: [{ source: 'a', failure: 'refused' }],
  servers: [{ source: 'b', counts: { instance: 'i', inFlight: 0, revisions } }],
};

test('names that nobody counted are told, with those that were counted', () => {
  const told = new Told();
  expect(told.missing(subject)).toBe('the record has no counts of churn; it has none');
  told.add(reading);
  expect(told.missing({ ...subject, name: 'chrun' })).toBe('the record has no counts of chrun; it has churn');
  expect(told.missing(subject)).toBe('the record has no counts of churn-2; of churn it has churn-1');
  expect(told.missing({ ...subject, canary: 'churn-1' })).toBeUndefined();
});
