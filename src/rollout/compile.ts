/** Strategies are presets of steps: what a user leaves out, filled in once. */
import { type AnalysisMetric, DEFAULT_METRICS } from '../api/v1alpha1/analysis.ts';
import { durationMs } from '../api/v1alpha1/duration.ts';
import { percentageShare } from '../api/v1alpha1/percentage.ts';
import { type Rollout, type RolloutStep, type RolloutStrategy, UNTIL_PROMOTED } from '../api/v1alpha1/rollout.ts';
import type { CompiledRollout, Step } from './types.ts';

const MINUTE_MS = 60_000;
const DEADLINE_MS = 120 * MINUTE_MS;

const PRESETS: Readonly<Record<RolloutStrategy, readonly RolloutStep[]>> = {
  Rolling: [],
  Recreate: [],
  Canary: [{ smoke: {} }, { weight: 10, hold: '5m' }, { weight: 25, hold: '5m' }, { weight: 50, hold: '10m' }],
  BlueGreen: [{ smoke: {} }],
  Shadow: [{ smoke: {} }, { mirror: '10%', hold: UNTIL_PROMOTED }],
};

const ALL: RolloutStep = { weight: 100 };

/** Whether the strategy goes by steps; the others replace pods, and the Service's endpoints are the split. */
export function isStepped(strategy: RolloutStrategy): boolean {
  return strategy !== 'Rolling' && strategy !== 'Recreate';
}

/** @throws RangeError for what the API server lets through never: a duration or percentage that is none */
export function compileRollout(rollout: Rollout): CompiledRollout {
  const { strategy } = rollout;
  const metrics = metricsOf(rollout);
  const own = rollout.steps ?? PRESETS[strategy];
  const steps = !isStepped(strategy) || own.at(-1)?.weight === 100 ? own : [...own, ALL];
  const keepPrevious = rollout.keepPrevious ?? (strategy === 'BlueGreen' ? '10m' : '0s');
  return {
    strategy,
    steps: steps.map((step) => compileStep(step, metrics)),
    capacityMode: rollout.capacity.mode,
    provisionTimeoutMs: durationMs(rollout.capacity.provisionTimeout),
    keepPreviousMs: durationMs(keepPrevious),
    progressDeadlineMs: durationMs(rollout.progressDeadline),
    analysisDeadlineMs: rollout.analysis === undefined ? DEADLINE_MS : durationMs(rollout.analysis.deadline),
    maxSurge: rollout.maxSurge,
    maxUnavailable: rollout.maxUnavailable,
  };
}

/** The metrics that a rollout is judged by. */
export function metricsOf({ strategy, analysis }: Pick<Rollout, 'strategy' | 'analysis'>): readonly AnalysisMetric[] {
  return isStepped(strategy) ? (analysis?.metrics ?? DEFAULT_METRICS) : [];
}

function kindOf({ smoke, mirror, weight = 0 }: RolloutStep): [kind: Step['kind'], percent: number] {
  if (smoke !== undefined) return ['smoke', weight];
  return mirror === undefined ? ['weight', weight] : ['mirror', percentageShare(mirror) * 100];
}

const LEAST_PERCENT = 1e-6;

function compileStep(step: RolloutStep, metrics: readonly AnalysisMetric[]): Step {
  const [kind, percent] = kindOf(step);
  const { hold = '0s', analyse } = step;
  const measurable = metrics.filter((metric) => isMeasurable(metric, kind, percent)).map(({ name }) => name);
  return {
    kind,
    // A product such as 0.07 * 100 is not quite 7; and the smallest share is still one.
    percent: percent === 0 ? 0 : Math.max(LEAST_PERCENT, Number(percent.toFixed(6))),
    hold: hold === UNTIL_PROMOTED ? UNTIL_PROMOTED : durationMs(hold),
    analyse: analyse ?? measurable,
  };
}

/** Copies have no rate of their own; only copies agree; and nothing compares with a stable revision without requests. */
function isMeasurable(metric: AnalysisMetric, kind: Step['kind'], percent: number): boolean {
  if (kind === 'smoke') return false;
  if (kind === 'mirror') return metric.builtin !== 'Throughput';
  if (metric.builtin === 'Agreement') return false;
  return percent < 100 || !onlyCompares(metric);
}

/** The names of metrics that a user asks for and that no step can measure: nothing would ever be judged by them. */
export function unmeasurable(rollout: Pick<Rollout, 'strategy' | 'steps' | 'analysis'>): readonly string[] {
  if (!isStepped(rollout.strategy)) return [];
  const steps = [...(rollout.steps ?? PRESETS[rollout.strategy]), ALL];
  const measures = (metric: AnalysisMetric) => steps.some((step) => isMeasurable(metric, ...kindOf(step)));
  return (rollout.analysis?.metrics ?? []).filter((metric) => !measures(metric)).map(({ name }) => name);
}

/** Whether a metric says nothing of a canary alone: it has no limit, or none that is not a distance to stable. */
function onlyCompares({ builtin, max, maxIncrease }: AnalysisMetric): boolean {
  return builtin === 'PredictionDistribution' || (maxIncrease !== undefined && max === undefined);
}

/** Tells steps apart: `Progress.step` counts in steps with this text. */
export function stepsText(steps: readonly Step[]): string {
  return steps
    .map(({ kind, percent }) => (kind === 'smoke' ? 's' : `${kind === 'mirror' ? 'm' : 'w'}${percent}`))
    .join(' ');
}

/** How a step is called, such as `weight 10`. */
export function stepName({ kind, percent }: Step): string {
  return kind === 'smoke' ? 'smoke' : kind === 'mirror' ? `mirror ${percent}%` : `weight ${percent}`;
}
