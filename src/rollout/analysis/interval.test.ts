import { expect, test } from 'vitest';
import type { PredictionCounts } from '../../api/counts.ts';
import { addOutputs } from './interval.ts';

const labels = (text: string): PredictionCounts => ({ kind: 'Label', counts: JSON.parse(text), other: 0 });

test('labels and outputs may have the names of what every object has', () => {
  const counted = { constructor: labels('{"constructor":5,"__proto__":2,"cat":1}') };
  expect(JSON.stringify(addOutputs({ y: labels('{}') }, counted))).toBe(
    JSON.stringify({ y: labels('{}'), ...counted }),
  );
  expect(JSON.stringify(addOutputs(counted, { constructor: labels('{"toString":3,"__proto__":2}') }))).toBe(
    '{"constructor":{"kind":"Label","counts":{"constructor":5,"__proto__":4,"cat":1,"toString":3},"other":0}}',
  );
});
