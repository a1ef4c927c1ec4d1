import { describe, expect, test } from 'vitest';
import type { RevisionCounts } from '../../api/counts.ts';
import { compileConditions } from '../../rollout/analysis/conditions.ts';
import { addCounts } from '../../rollout/analysis/interval.ts';
import { InvalidRecord, parseReading, type RecordedReading } from '../../rollout/analysis/record.ts';
import { counts } from '../../rollout/analysis/testing/observed.ts';
import { policyOf } from '../../rollout/analysis/testing/policy.ts';
import { simulate } from '../../rollout/analysis/testing/simulated-traffic.ts';
import { type Judged, replay } from './replay.ts';

const subject = { name: 'churn', canary: 'churn-2', stable: 'churn-1' };
const policy = policyOf({ errors: { kind: 'ErrorRate', allowed: { absolute: 0.01 } } });

/** What one router would have told, reading by reading; from `restartAt` on it is another process, which begins at 0. */
function recorded(errorRate: number, restartAt = Number.POSITIVE_INFINITY): RecordedReading[] {
  const behaviour = () => () => ({ canary: { errorRate }, stable: { errorRate: 0.01 } });
  let sums: Record<string, RevisionCounts> = {};
  let instance = 'first';
  const readings: RecordedReading[] = [];
  const tell = (atMs: number) => {
    const counts = { instance, inFlight: 0, revisions: { churn: sums } };
    readings.push({ atMs, routers: [{ source: 'router', counts }], servers: [] });
  };
  tell(0);
  let reading = 0;
  for (const interval of simulate({ seed: 7, intervals: 40, requests: 1_000, weight: 0.1, behaviour })) {
    if ('failure' in interval || interval.canary === undefined || interval.stable === undefined) continue;
    if (reading === restartAt) [sums, instance] = [{}, 'second'];
    const [canary, stable] = [sums['churn-2'], sums['churn-1']];
    sums = {
      'churn-2': canary ? addCounts(canary, interval.canary) : interval.canary,
      'churn-1': stable ? addCounts(stable, interval.stable) : interval.stable,
    };
    reading += 1;
    tell(interval.endMs);
  }
  return readings;
}

async function* each<T>(values: readonly T[]) {
  yield* values;
}

async function judged(readings: readonly RecordedReading[], by = policy): Promise<Judged[]> {
  const all: Judged[] = [];
  for await (const one of replay(each(readings), by, subject)) all.push(one);
  return all;
}

test.each([
  ['as good as stable', 0.01, 'Healthy'],
  ['much worse', 0.1, 'Unhealthy'],
] as const)('of a canary that is %s the record says so at its end', async (_, errorRate, verdict) => {
  const all = await judged(recorded(errorRate));
  expect(all).toHaveLength(41);
  expect(all[0]?.verdict.verdict).toBe('InsufficientData');
  expect(all.at(-1)?.verdict.verdict).toBe(verdict);
});

test('a process that began anew is counted from 0 on', async () => {
  const [whole, restarted] = await Promise.all([judged(recorded(0.01)), judged(recorded(0.01, 20))]);
  expect(restarted.at(-1)?.verdict.requests).toBe(whole.at(-1)?.verdict.requests);
});

test('readings that failed are errors after as many in a row as may fail', async () => {
  const failed = Array.from({ length: 5 }, (_, k) => ({
    atMs: 1e6 + k,
    routers: [{ source: 'router', failure: 'connection refused' }],
    servers: [],
  }));
  const all = await judged([...recorded(0.01), ...failed]);
  expect(all.at(-2)?.verdict.verdict).toBe('Healthy');
  expect(all.at(-1)?.verdict).toMatchObject({ verdict: 'Error' });
});

test('recorded answers of queries are judged by the conditions of the policy', async () => {
  const conditions = compileConditions({ success: 'result >= 0.98' }, 'metrics[0]');
  const byQuery = policyOf({
    revenue: { kind: 'Query', address: '', query: '', timeoutMs: 1, conditions, failureLimit: 0, inconclusiveLimit: 0 },
  });
  const at = (atMs: number, queries: RecordedReading['queries']): RecordedReading => ({
    atMs,
    routers: [],
    servers: [],
    ...(queries && { queries }),
  });
  const all = await judged(
    [
      at(0, undefined),
      at(1, { revenue: { samples: ['NaN'] } }),
      at(2, { revenue: { samples: [0.99] } }),
      at(3, { revenue: { samples: [0.99, 1] } }),
      at(4, { revenue: { samples: [0.5] } }),
    ],
    byQuery,
  );
  expect(all.map(({ verdict }) => verdict.verdict)).toEqual([
    'InsufficientData',
    'InsufficientData',
    'Healthy',
    'InsufficientData',
    'Unhealthy',
  ]);
});

describe('a line of a record', () => {
  const none = counts({ requests: 0 });
  const mirror = { requests: 0, errors: 0, dropped: 0, compared: 0, agreed: 0, latency: none.latency };
  const tellingOf = (more: Partial<RevisionCounts>) => {
    const told = { instance: 'one', inFlight: 0, revisions: { churn: { 'churn-2': { ...none, ...more } } } };
    return JSON.stringify({ atMs: 1, routers: [{ source: 'router', counts: told }], servers: [] });
  };
  test('is a reading', () => {
    const [reading] = recorded(0.01);
    expect(parseReading(JSON.stringify(reading), 1)).toEqual(reading);
  });

  test.each([
    ['{', /^line 3 is not JSON/],
    ['{"atMs": "now", "routers": [], "servers": []}', /^line 3: \/atMs/],
    ['{"atMs": 1, "routers": [{"source": "a"}], "servers": []}', /^line 3: \/routers\/0/],
    ['{"atMs": 1e300, "routers": [], "servers": []}', /^line 3: \/atMs must be <= /],
    ['{"atMs": NaN, "routers": [], "servers": []}', /^line 3 is not JSON/],
    ['{"atMs": 1, "routers": [], "servers": [], "more": 1}', /^line 3: \/more is no field$/],
    ['[]', /^line 3: the reading must be object$/],
    [tellingOf({ requests: 5, errors: 6 }), /^line 3: router tells of churn-2 of churn 6 errors of 5 requests$/],
    [
      tellingOf({ mirror: { ...mirror, requests: 1, errors: 2 } }),
      /^line 3: router tells of churn-2 of churn 2 errors of 1 copies$/,
    ],
    [
      tellingOf({ mirror: { ...mirror, compared: 1, agreed: 2 } }),
      /^line 3: router tells of churn-2 of churn 2 alike of 1 pairs$/,
    ],
  ])('that is none is refused with its number: %s', (line, problem) => {
    expect(() => parseReading(line, 3)).toThrow(InvalidRecord);
    expect(() => parseReading(line, 3)).toThrow(problem);
  });
});
