import { own } from '../../api/own.ts';
import { type Claim, MIN_INTERVALS } from './claim.ts';
import { predictionDistance } from './distribution.ts';
import { latencyIncrease, latencyLimit } from './latency.ts';
import { type AnalysisPolicy, gapOf, type Metric, type Traffic } from './policy.ts';
import { judgeQuery } from './query.ts';
import { agreement, errorIncrease, errorLimit, throughput } from './rates.ts';
import { type AnalysisState, requestsOf } from './state.ts';
import { type MetricVerdict, type Verdict, worst } from './verdict.ts';

/** A claim, and whether it is about the canary alone: then breaking it is reason enough to take its traffic at once. */
interface Rule {
  readonly claim: Claim;
  readonly isHardLimit: boolean;
}

const present = <T>(values: readonly (T | undefined)[]): T[] => values.filter((value) => value !== undefined);

/** What a metric's rules say of what was counted, as far as such traffic shows it. Empty where there is nothing to say anything about. */
function rulesOf(metric: Metric, state: AnalysisState, policy: AnalysisPolicy): readonly Rule[] {
  const { measure } = metric;
  const isWhole = gapOf(metric, policy.traffic) === undefined;
  const increase = (claim: Claim | undefined) => claim && { claim, isHardLimit: false };
  const limit = (claim: Claim | undefined) => claim && { claim, isHardLimit: true };
  switch (measure.kind) {
    case 'ErrorRate': {
      const { allowed, max } = measure;
      return present([
        allowed && isWhole ? increase(errorIncrease(state, policy, allowed)) : undefined,
        max === undefined ? undefined : limit(errorLimit(state, policy, max)),
      ]);
    }
    case 'Latency': {
      const { allowed, max, quantile } = measure;
      return present([
        allowed && isWhole ? increase(latencyIncrease(state, policy, quantile, allowed)) : undefined,
        max === undefined ? undefined : limit(latencyLimit(state, policy, quantile, max)),
      ]);
    }
    case 'Throughput': {
      const { min, max } = measure;
      return present([
        min === undefined || !isWhole ? undefined : limit(throughput(state, policy, min, 'Least')),
        max === undefined || !isWhole ? undefined : limit(throughput(state, policy, max, 'Most')),
      ]);
    }
    case 'PredictionDistribution':
      return present([isWhole ? increase(predictionDistance(state, policy, measure.max)) : undefined]);
    case 'Agreement':
      return present([isWhole ? increase(agreement(state, policy, measure.min)) : undefined]);
    case 'Query':
      return [];
  }
}

/** Why nothing is claimed yet, whatever the bounds say; undefined where enough was seen. */
function tooLittle(state: AnalysisState, policy: AnalysisPolicy): string | undefined {
  const intervals = (state.blocks.length - 1) * state.intervalsPerBlock + state.inLastBlock;
  if (state.blocks.length === 0) return 'no requests yet that could be judged';
  if (state.blocks.length < MIN_INTERVALS) return `${intervals} of ${MIN_INTERVALS} intervals`;
  const sides = policy.traffic === 'Whole' ? (['canary'] as const) : (['canary', 'stable'] as const);
  const short = sides.find((side) => requestsOf(state, side) < policy.minRequests);
  return (
    short && `${requestsOf(state, short)} of ${policy.minRequests} requests${short === 'stable' ? ' of stable' : ''}`
  );
}

/** With the clauses that the message of the whole is made of. */
type WordedVerdict = MetricVerdict & { readonly brief?: string; readonly reason?: string };

function judgeCounted(metric: Metric, state: AnalysisState, policy: AnalysisPolicy): WordedVerdict {
  const { name, dryRun, consecutiveErrorLimit } = metric;
  const base = { name, dryRun, unit: 'None' as const, isHardLimit: false };
  if (state.consecutiveFailures > consecutiveErrorLimit) {
    return {
      ...base,
      verdict: 'Error',
      message: `could not be read ${state.consecutiveFailures} times in a row, more than ${consecutiveErrorLimit}: ${state.failure ?? ''}`,
    };
  }
  const gap = gapOf(metric, policy.traffic);
  const missing = tooLittle(state, policy);
  const rules = state.blocks.length === 0 ? [] : rulesOf(metric, state, policy);
  const verdict = worst(rules.map(({ claim }) => claim.verdict));
  const shown = rules.find(({ claim }) => claim.verdict === verdict);
  if (verdict === undefined || shown === undefined) {
    const why = gap === undefined ? (missing ?? 'nothing was predicted that could be compared') : `${name}: ${gap}`;
    return { ...base, verdict: 'InsufficientData', message: why };
  }
  const { brief, ...claim } = shown.claim;
  // A part of it cannot be told: the rest may show harm, and never that all is well.
  const isPartly = gap !== undefined && verdict !== 'Unhealthy';
  const reason = isPartly ? `${brief}, but ${gap}` : claim.reason;
  const isTooEarly = state.blocks.length < MIN_INTERVALS || (verdict === 'Healthy' && missing !== undefined);
  return {
    ...base,
    ...claim,
    verdict: isTooEarly || isPartly ? 'InsufficientData' : verdict,
    isHardLimit: shown.isHardLimit,
    message: missing === undefined ? reason : `${missing}; ${reason}`,
    brief: isPartly ? reason : brief,
    reason,
  };
}

const unknownMetric = (name: string): MetricVerdict => ({
  name,
  dryRun: false,
  verdict: 'InsufficientData',
  unit: 'None',
  isHardLimit: false,
  message: `${name}: the analysis has no metric of this name`,
});

const ANSWERS: Readonly<Record<Traffic, string>> = { Split: 'requests', Mirror: 'copies', Whole: 'requests' };

/**
 * What a step's analysis says now. Pure: a function of what was observed and of the policy. Bounds hold at every look, so
 * it may be asked as often as one likes. A canary may be called Unhealthy before it has had the wanted number of requests,
 * and is never called Healthy before.
 */
export function judge(state: AnalysisState, policy: AnalysisPolicy): Verdict {
  const judged: readonly WordedVerdict[] = [
    ...policy.metrics.map((metric) =>
      metric.measure.kind === 'Query'
        ? judgeQuery(metric, metric.measure, own(state.queries, metric.name))
        : judgeCounted(metric, state, policy),
    ),
    ...policy.unknown.map(unknownMetric),
  ];
  const deciding = judged.filter(({ dryRun }) => !dryRun);
  // Healthy without a metric only where none was asked for: every one that a step names is among them, told or not.
  const verdict = worst(deciding.map((metric) => metric.verdict)) ?? 'Healthy';
  const requests = requestsOf(state, 'canary');
  const counted = `${requests}${requests < policy.minRequests ? ` of ${policy.minRequests}` : ''} ${ANSWERS[policy.traffic]}`;
  // Metrics that keep the canary from being Healthy say why in full; the others, and all as long as requests are missing, show their values.
  const isTooEarly = verdict === 'InsufficientData' && tooLittle(state, policy) !== undefined;
  const parts = judged.map((metric) => {
    const isReason = metric.verdict === verdict && verdict !== 'Healthy' && !isTooEarly;
    const text = (isReason ? metric.reason : metric.brief) ?? metric.message;
    return `${metric.dryRun ? '(dry run) ' : ''}${text}`;
  });
  const idle = state.lastIdle ? ['no requests in the last interval'] : [];
  return {
    verdict,
    requests,
    metrics: judged.map(({ brief: _brief, reason: _reason, ...metric }) => metric),
    message: [`${[counted, ...idle].join(', ')}`, [...new Set(parts)].join(', ')]
      .filter((part) => part !== '')
      .join('; '),
  };
}
