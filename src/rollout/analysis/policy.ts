import type { Analysis, AnalysisMetric } from '../../api/v1alpha1/analysis.ts';
import { DEFAULT_METRICS } from '../../api/v1alpha1/analysis.ts';
import { durationMs } from '../../api/v1alpha1/duration.ts';
import { type Conditions, compileConditions } from './conditions.ts';
import { InvalidMetric } from './invalid-metric.ts';

/**
 * Whose answers are judged. Split: both revisions answer users. Mirror: the canary answers copies. Whole: the canary
 * answers all, and there is nothing to compare it with.
 */
export type Traffic = 'Split' | 'Mirror' | 'Whole';

/** How much more than stable is allowed. Absolute: a share or seconds. Relative: a share of what stable has. */
export type Allowed = { readonly absolute: number } | { readonly relative: number };

/** Shares are 0 to 1, latencies in seconds, rates a second. */
export type Measure =
  | { readonly kind: 'ErrorRate'; readonly allowed?: Allowed; readonly max?: number }
  | { readonly kind: 'Latency'; readonly quantile: number; readonly allowed?: Allowed; readonly max?: number }
  | { readonly kind: 'Throughput'; readonly min?: number; readonly max?: number }
  | { readonly kind: 'PredictionDistribution'; readonly max: number }
  | { readonly kind: 'Agreement'; readonly min: number }
  | {
      readonly kind: 'Query';
      readonly address: string;
      /** With $(canary), $(stable), $(name) and $(namespace) still in it. */
      readonly query: string;
      readonly timeoutMs: number;
      readonly conditions: Conditions;
      readonly failureLimit: number;
      readonly inconclusiveLimit: number;
    };

export interface Metric {
  readonly name: string;
  readonly dryRun: boolean;
  readonly consecutiveErrorLimit: number;
  readonly measure: Measure;
}

/** How one step is judged. Frozen values, checked once. */
export interface AnalysisPolicy {
  readonly traffic: Traffic;
  readonly metrics: readonly Metric[];
  /** What the step names and the analysis does not have, as when it was changed meanwhile: nobody can say that it is Healthy. */
  readonly unknown: readonly string[];
  /** That each revision whose answers are compared must have answered. */
  readonly minRequests: number;
  readonly intervalMs: number;
  /** Chance that one claim of harm is ever made of a canary that is not worse than allowed, however often one looks. */
  readonly falseAlarm: number;
  /** Chance that a metric that is worse than allowed is ever called Healthy, however often one looks. */
  readonly falsePass: number;
}

/** Chance that a canary that is as good as stable is ever called Unhealthy in a whole rollout; see docs/decisions. */
export const FALSE_ALARM_OF_ROLLOUT = 0.01;
export const FALSE_PASS_OF_METRIC = 0.05;

export interface AnalysedStep {
  readonly traffic: Traffic;
  /** Metrics that the step names, whether it can measure them or not; undefined for all that it can. */
  readonly analyse?: readonly string[];
  /** Steps of the rollout that are judged, this one among them. */
  readonly analysedSteps: number;
  /** The step is to leave stable nothing to compare with: metrics that have limits too are judged by these alone. */
  readonly limitsOnly?: boolean;
}

const QUANTILES = { LatencyP50: 0.5, LatencyP95: 0.95, LatencyP99: 0.99 } as const;

const percentage = (text: string) => Number(text.replace('%', '')) / 100;
const perSecond = (text: string) => Number(text.replace('/s', ''));
const seconds = (text: string) => durationMs(text) / 1_000;

const ifGiven = <T>(key: string, text: string | undefined, parse: (text: string) => T) =>
  text === undefined ? {} : { [key]: parse(text) };

function allowedOf({ maxIncrease }: AnalysisMetric, parse: (text: string) => number): { allowed?: Allowed } {
  const { absolute, relative } = maxIncrease ?? {};
  if (absolute !== undefined) return { allowed: { absolute: parse(absolute) } };
  if (relative !== undefined) return { allowed: { relative: percentage(relative) } };
  return {};
}

function required(field: string, text: string | undefined): string {
  if (text === undefined) throw new InvalidMetric(field, 'must be given');
  return text;
}

/** @throws {InvalidMetric} for what the API server's rules cannot see: expressions */
function measureOf(metric: AnalysisMetric, path: string): Measure {
  const { builtin, prometheus } = metric;
  switch (builtin) {
    case 'ErrorRate':
      return { kind: builtin, ...allowedOf(metric, percentage), ...ifGiven('max', metric.max, percentage) };
    case 'LatencyP50':
    case 'LatencyP95':
    case 'LatencyP99':
      return {
        kind: 'Latency',
        quantile: QUANTILES[builtin],
        ...allowedOf(metric, seconds),
        ...ifGiven('max', metric.max, seconds),
      };
    case 'Throughput':
      return { kind: builtin, ...ifGiven('min', metric.min, perSecond), ...ifGiven('max', metric.max, perSecond) };
    case 'PredictionDistribution':
      return { kind: builtin, max: percentage(required(`${path}.max`, metric.max)) };
    case 'Agreement':
      return { kind: builtin, min: percentage(required(`${path}.min`, metric.min)) };
    case undefined: {
      if (prometheus === undefined) throw new InvalidMetric(path, 'builtin or prometheus must be given');
      return {
        kind: 'Query',
        address: prometheus.address,
        query: prometheus.query,
        timeoutMs: durationMs(prometheus.timeout),
        conditions: compileConditions(metric, path),
        failureLimit: metric.failureLimit ?? 0,
        inconclusiveLimit: metric.inconclusiveLimit ?? 0,
      };
    }
  }
}

/** What each metric of an analysis measures. @throws {InvalidMetric} naming the field, for expressions that do not compile */
export function compileMetrics(analysis: Analysis): readonly Metric[] {
  return (analysis.metrics ?? DEFAULT_METRICS).map((metric, index) => ({
    name: metric.name,
    dryRun: metric.dryRun,
    consecutiveErrorLimit: metric.consecutiveErrorLimit,
    measure: measureOf(metric, `spec.rollout.analysis.metrics[${index}]`),
  }));
}

/** A metric without its comparison with stable; as it is where it has nothing else. */
function withoutComparison(metric: Metric): Metric {
  const { measure } = metric;
  if (!('allowed' in measure) || measure.max === undefined) return metric;
  const { allowed: _, ...limits } = measure;
  return { ...metric, measure: limits };
}

/** Why such traffic cannot show all that a metric asks for, in words; undefined where it can. */
export function gapOf({ measure }: Metric, traffic: Traffic): string | undefined {
  const isCompared =
    measure.kind === 'PredictionDistribution' || ('allowed' in measure && measure.allowed !== undefined);
  if (isCompared && traffic === 'Whole') return 'stable answers nothing that the canary could be compared with';
  if (measure.kind === 'Agreement' && traffic !== 'Mirror') return 'only copies are compared, and none are sent';
  if (measure.kind === 'Throughput' && traffic === 'Mirror') return 'copies have no rate of their own';
  return undefined;
}

/** How many claims of harm a metric can make: each takes its part of the chance of a false alarm. */
function claims(metric: Metric, traffic: Traffic): number {
  const { dryRun, measure } = metric;
  if (dryRun || measure.kind === 'Query') return 0;
  const isWhole = gapOf(metric, traffic) === undefined;
  const hasLimit = 'max' in measure && measure.max !== undefined;
  if (measure.kind === 'ErrorRate' || measure.kind === 'Latency') {
    return Number(hasLimit) + Number(measure.allowed !== undefined && isWhole);
  }
  if (!isWhole) return 0;
  return measure.kind === 'Throughput' ? Number(hasLimit) + Number(measure.min !== undefined) : 1;
}

/** All that such traffic can measure. Where that is none, all of them: each says why it cannot be told. */
function measurable(metrics: readonly Metric[], traffic: Traffic): readonly Metric[] {
  const found = metrics.filter((metric) => gapOf(metric, traffic) === undefined);
  return found.length > 0 ? found : metrics;
}

/**
 * How a step of a rollout is judged.
 * @throws {InvalidMetric} naming the field, for expressions that do not compile
 */
export function compilePolicy(
  analysis: Analysis,
  { traffic, analyse, analysedSteps, limitsOnly = false }: AnalysedStep,
): AnalysisPolicy {
  const given = compileMetrics(analysis);
  const known = limitsOnly ? given.map(withoutComparison) : given;
  const metrics =
    analyse === undefined ? measurable(known, traffic) : known.filter(({ name }) => analyse.includes(name));
  const unknown = (analyse ?? []).filter((name) => !known.some((metric) => metric.name === name));
  const all = metrics.reduce((sum, metric) => sum + claims(metric, traffic), 0) * analysedSteps;
  return Object.freeze({
    traffic,
    metrics,
    unknown,
    minRequests: analysis.minRequests,
    intervalMs: durationMs(analysis.interval),
    falseAlarm: FALSE_ALARM_OF_ROLLOUT / Math.max(1, all),
    falsePass: FALSE_PASS_OF_METRIC,
  });
}
