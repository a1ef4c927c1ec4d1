import { describe, expect, test, vi } from 'vitest';
import { FALSE_ALARM_OF_ROLLOUT, type Measure } from './policy.ts';
import { policyOf } from './testing/policy.ts';
import { rollouts } from './testing/rollouts.ts';
import { type Behaviour, logNormalLatency, type Random, type Simulation } from './testing/simulated-traffic.ts';

/** All of it takes half a minute of one idle core. */
vi.setConfig({ testTimeout: 300_000 });

/** What verdicts promise, on rollouts that are simulated from fixed seeds and looked at in every interval. */

const same =
  (behaviour: Simulation['behaviour'] extends () => (random: Random) => { canary: infer B } ? B : never) =>
  () =>
  () => ({
    canary: behaviour,
    stable: behaviour,
  });

const errors = (absolute: number): Record<string, Measure> => ({
  errors: { kind: 'ErrorRate', allowed: { absolute } },
});
const base = { intervals: 50, requests: 1_000, weight: 0.1 };

/** Errors that come in bursts, on each side at times of its own: they begin and end at random. */
const bursts = (begins: number, ends: number, during: number, between: number) => () => {
  let [canary, stable] = [false, false];
  return (random: Random) => {
    canary = canary ? random() >= ends : random() < begins;
    stable = stable ? random() >= ends : random() < begins;
    return {
      canary: { errorRate: canary ? during : between },
      stable: { errorRate: stable ? during : between },
    };
  };
};
const sharedBursts = () => {
  let isBurst = false;
  return (random: Random) => {
    isBurst = isBurst ? random() >= 0.33 : random() < 0.05;
    return same({ errorRate: isBurst ? 0.3 : 0.005 })()();
  };
};
const burstyLoad = (random: Random) => (random() < 0.1 ? 6 : 0.45);

describe('the same model twice, with no increase allowed, is called Unhealthy in at most 10 of 500 rollouts', () => {
  test.each<[string, Partial<Simulation>]>([
    ['2% errors', { behaviour: same({ errorRate: 0.02 }) }],
    ['2% errors and little traffic', { behaviour: same({ errorRate: 0.02 }), requests: 60 }],
    ['an error in a thousand', { behaviour: same({ errorRate: 0.001 }) }],
    ['half of the traffic', { behaviour: same({ errorRate: 0.02 }), weight: 0.5 }],
    ['traffic in bursts', { behaviour: same({ errorRate: 0.02 }), load: burstyLoad }],
    ['bursts of errors that both have, with traffic in bursts', { behaviour: sharedBursts, load: burstyLoad }],
    ['bursts of errors, an interval each', { behaviour: bursts(0.05, 1, 0.2, 0.005) }],
    ['rare bursts in which half of all fails', { behaviour: bursts(0.01, 0.33, 0.5, 0) }],
    ['bursts of errors, three intervals each', { behaviour: bursts(0.03, 0.33, 0.2, 0.005) }],
  ])('%s', (_, simulation) => {
    const { unhealthy } = rollouts(500, { ...base, ...simulation } as Simulation, policyOf(errors(0)), 'Unhealthy');
    expect(unhealthy).toBeLessThanOrEqual(10);
  });

  test('by its errors, its latencies and its predictions together', () => {
    const behaviour = same({
      errorRate: 0.01,
      latency: logNormalLatency(0.02, 0.5),
      labels: [0.5, 0.3, 0.15, 0.05],
    });
    const policy = policyOf({
      ...errors(0),
      p50: { kind: 'Latency', quantile: 0.5, allowed: { relative: 0 } },
      p99: { kind: 'Latency', quantile: 0.99, allowed: { relative: 0 } },
      predictions: { kind: 'PredictionDistribution', max: 0.001 },
    });
    const { unhealthy } = rollouts(500, { ...base, intervals: 20, behaviour }, policy, 'Unhealthy');
    expect(unhealthy).toBeLessThanOrEqual(10);
  });
});

/** Shares of two distributions, of which the other one has a part. */
const mixed = (usual: readonly number[], other: readonly number[], part: number) =>
  usual.map((share, bucket) => share * (1 - part) + (other[bucket] ?? 0) * part);

/** Bursts of three intervals on average, on each side at times of its own, in which a part of all is ten times as slow. */
const slowBursts = (part: number, canaryMedian = 0.02) => {
  const usual = { canary: logNormalLatency(canaryMedian, 0.5), stable: logNormalLatency(0.02, 0.5) };
  const during = {
    canary: mixed(usual.canary, logNormalLatency(10 * canaryMedian, 0.5), part),
    stable: mixed(usual.stable, logNormalLatency(0.2, 0.5), part),
  };
  return () => {
    const isBurst = { canary: false, stable: false };
    return (random: Random) => {
      const next = (side: 'canary' | 'stable') => {
        isBurst[side] = isBurst[side] ? random() >= 0.33 : random() < 0.03;
        return { errorRate: 0, latency: (isBurst[side] ? during : usual)[side] };
      };
      return { canary: next('canary'), stable: next('stable') };
    };
  };
};

describe('of latencies that are slow in bursts, on each side alone', () => {
  const p99 = policyOf({ p99: { kind: 'Latency', quantile: 0.99, allowed: { relative: 0.25 } } });

  test.each([0.2, 0.1])(
    'the same model twice, a part of %f slow, is Unhealthy in at most 3 of 150 rollouts',
    (part) => {
      const { unhealthy } = rollouts(150, { ...base, behaviour: slowBursts(part) }, p99, 'Unhealthy');
      expect(unhealthy).toBeLessThanOrEqual(3);
    },
  );

  test('a canary that is twice as slow is Unhealthy in four of five rollouts', () => {
    const { unhealthy } = rollouts(50, { ...base, intervals: 100, behaviour: slowBursts(0.1, 0.04) }, p99, 'Unhealthy');
    expect(unhealthy).toBeGreaterThanOrEqual(40);
  });
});

describe('the same model twice is called Healthy within a number of its own requests, in 95% of rollouts', () => {
  test.each<[string, Partial<Simulation>, Record<string, Measure>, number]>([
    ['no errors, 1% allowed', { behaviour: same({ errorRate: 0 }) }, errors(0.01), 700],
    ['0.5% errors, 1% allowed', { behaviour: same({ errorRate: 0.005 }) }, errors(0.01), 2_200],
    ['1% errors, 1% allowed', { behaviour: same({ errorRate: 0.01 }) }, errors(0.01), 3_300],
    ['2% errors, 1% allowed', { behaviour: same({ errorRate: 0.02 }), intervals: 100 }, errors(0.01), 5_600],
    [
      'p99, a quarter more allowed',
      { behaviour: same({ errorRate: 0, latency: logNormalLatency(0.02, 0.5) }), intervals: 100 },
      { p99: { kind: 'Latency', quantile: 0.99, allowed: { relative: 0.25 } } },
      3_000,
    ],
    [
      'p50, a tenth more allowed',
      { behaviour: same({ errorRate: 0, latency: logNormalLatency(0.02, 0.5) }), intervals: 60 },
      { p50: { kind: 'Latency', quantile: 0.5, allowed: { relative: 0.1 } } },
      2_600,
    ],
    [
      'predictions, 10% apart allowed',
      { behaviour: same({ errorRate: 0, labels: [0.5, 0.3, 0.15, 0.05] }) },
      { predictions: { kind: 'PredictionDistribution', max: 0.1 } },
      1_000,
    ],
  ])('%s', (_, simulation, measures, requests) => {
    const { healthy, requestsAt95 } = rollouts(
      200,
      { ...base, ...simulation } as Simulation,
      policyOf(measures),
      'Healthy',
    );
    expect(healthy).toBeGreaterThanOrEqual(190);
    expect(requestsAt95).toBeLessThanOrEqual(requests);
  });
});

/** What a rollout without an analysis of its own is judged by, with three judged steps. */
const byDefault = policyOf(
  { ...errors(0.01), p99: { kind: 'Latency', quantile: 0.99, allowed: { relative: 0.25 } } },
  { falseAlarm: FALSE_ALARM_OF_ROLLOUT / (2 * 3) },
);
const latency = logNormalLatency(0.02, 0.5);

test.each([0.005, 0.01])(
  'by default, the same model twice with %f errors is called Healthy within 3,400 requests in 95 of 100 rollouts',
  (errorRate) => {
    const simulation = { ...base, intervals: 80, behaviour: same({ errorRate, latency }) };
    expect(rollouts(200, simulation, byDefault, 'Healthy').requestsAt95).toBeLessThanOrEqual(3_400);
  },
);

test.each<[string, Behaviour, number]>([
  ['5% errors beside 1%', { errorRate: 0.05, latency }, 1_300],
  ['twice the latency of stable', { errorRate: 0.01, latency: logNormalLatency(0.04, 0.5) }, 700],
  ['half more latency than stable', { errorRate: 0.01, latency: logNormalLatency(0.03, 0.5) }, 6_000],
])('by default, a canary with %s is caught', (_, canary, requests) => {
  const behaviour = () => () => ({ canary, stable: { errorRate: 0.01, latency } });
  const simulation = { ...base, intervals: 80, behaviour };
  expect(rollouts(200, simulation, byDefault, 'Unhealthy').requestsAt95).toBeLessThanOrEqual(requests);
});

describe('a canary that is worse is called Unhealthy within a number of its own requests, in 95% of rollouts', () => {
  const slow = { stable: { errorRate: 0, latency: logNormalLatency(0.02, 0.5) } };
  test.each<[string, Partial<Simulation>, Record<string, Measure>, number]>([
    [
      '4% errors against 2%, at weight 10 and with no increase allowed',
      { behaviour: () => () => ({ canary: { errorRate: 0.04 }, stable: { errorRate: 0.02 } }), requests: 500 },
      errors(0),
      2_000,
    ],
    [
      'half as slow again, where p99 may be a quarter more',
      { behaviour: () => () => ({ ...slow, canary: { errorRate: 0, latency: logNormalLatency(0.03, 0.5) } }) },
      { p99: { kind: 'Latency', quantile: 0.99, allowed: { relative: 0.25 } } },
      4_200,
    ],
    [
      'twice as slow, where p99 may be a quarter more',
      { behaviour: () => () => ({ ...slow, canary: { errorRate: 0, latency: logNormalLatency(0.04, 0.5) } }) },
      { p99: { kind: 'Latency', quantile: 0.99, allowed: { relative: 0.25 } } },
      800,
    ],
    [
      'one label for all, where predictions may be 10% apart',
      {
        behaviour: () => () => ({
          canary: { errorRate: 0, labels: [0, 1] },
          stable: { errorRate: 0, labels: [0.5, 0.5] },
        }),
      },
      { predictions: { kind: 'PredictionDistribution', max: 0.1 } },
      700,
    ],
  ])('%s', (_, simulation, measures, requests) => {
    const within = { ...base, intervals: 80, ...simulation } as Simulation;
    const { unhealthy, requestsAt95 } = rollouts(200, within, policyOf(measures), 'Unhealthy');
    expect(unhealthy).toBeGreaterThanOrEqual(190);
    expect(requestsAt95).toBeLessThanOrEqual(requests);
  });
});

describe('a canary that is worse than allowed is called Healthy in at most 5% of rollouts', () => {
  test.each<[string, Partial<Simulation>, Record<string, Measure>]>([
    [
      'a little more errors than allowed',
      { behaviour: () => () => ({ canary: { errorRate: 0.0301 }, stable: { errorRate: 0.02 } }) },
      errors(0.01),
    ],
    [
      'no error but by chance',
      { behaviour: () => () => ({ canary: { errorRate: 0.0101 }, stable: { errorRate: 0 } }) },
      errors(0.01),
    ],
    [
      'half as many errors again allowed, of a stable that has few but in bursts',
      {
        requests: 2_000,
        weight: 0.5,
        behaviour: () => (random) => ({
          canary: { errorRate: 0.012 },
          stable: { errorRate: random() < 0.01 ? 0.5 : 0.002 },
        }),
      },
      { errors: { kind: 'ErrorRate', allowed: { relative: 0.5 } } },
    ],
    [
      'a little slower than allowed',
      {
        behaviour: () => () => ({
          canary: { errorRate: 0, latency: logNormalLatency(0.0251, 0.5) },
          stable: { errorRate: 0, latency: logNormalLatency(0.02, 0.5) },
        }),
      },
      { p95: { kind: 'Latency', quantile: 0.95, allowed: { relative: 0.25 } } },
    ],
  ])('%s', (_, simulation, measures) => {
    const { healthy } = rollouts(200, { ...base, ...simulation } as Simulation, policyOf(measures), 'Healthy');
    expect(healthy).toBeLessThanOrEqual(10);
  });
});

/** Errors of the canary that come in bursts of five intervals on average, the first one soon. */
const burstsSoon = (begins: number, during: number) => () => {
  let [interval, isBurst] = [0, false];
  return (random: Random) => {
    interval += 1;
    isBurst = interval === 3 || random() < (isBurst ? 0.8 : begins);
    return { canary: { errorRate: isBurst ? during : 0 }, stable: { errorRate: 0 } };
  };
};

test('a canary of which 1.02% fails in bursts, and that has had one, is called Healthy in at most 5% of rollouts where 1% is allowed', () => {
  const share = 0.0102 / 0.03;
  const simulation = {
    ...base,
    requests: 5_000,
    intervals: 120,
    behaviour: burstsSoon((0.2 * share) / (1 - share), 0.03),
  };
  expect(rollouts(200, simulation, policyOf(errors(0.01)), 'Healthy').healthy).toBeLessThanOrEqual(10);
});

test('a canary of which all requests of one second fail, and none after that, is Healthy within 50 minutes', () => {
  const behaviour = () => {
    let interval = 0;
    return () => {
      interval += 1;
      return { canary: { errorRate: interval === 3 ? 0.1 : 0 }, stable: { errorRate: 0 } };
    };
  };
  const simulation = { ...base, requests: 3_900, intervals: 300, behaviour };
  const { healthy, requestsAt95 } = rollouts(40, simulation, policyOf(errors(0.01)), 'Healthy');
  expect(healthy).toBe(40);
  expect(requestsAt95 / 390 / 6).toBeLessThanOrEqual(50);
});
