import { expect, test } from 'vitest';
import { withDefaults } from '../api/defaults.ts';
import type { Analysis } from '../api/v1alpha1/analysis.ts';
import { ModelDeployment } from '../api/v1alpha1/model-deployment.ts';
import { judge } from './analysis/judge.ts';
import { compilePolicy } from './analysis/policy.ts';
import { type AnalysisState, beginAnalysis, observe } from './analysis/state.ts';
import { counts } from './analysis/testing/observed.ts';
import { rollingOut, rolloutOf, run } from './testing/invariants.ts';
import type { ModelCluster } from './testing/model-cluster.ts';
import type { AnalysisRequest } from './types.ts';

/** Rollouts that are decided by what is counted of them: the engine and the analysis, and nothing between. */

const fields = {
  strategy: 'Canary',
  steps: [{ weight: 50 }],
  analysis: {
    metrics: [
      { name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' }, max: '5%' },
      { name: 'latency', builtin: 'LatencyP99', maxIncrease: { relative: '25%' } },
    ],
  },
};

/** Runs to the end; each reconcile reads one more interval of 1,000 requests. @returns what was judged, step by step */
function rollOut(cluster: ModelCluster, errorRateAt: (weight: number) => number): string[] {
  const manifest = { metadata: { name: 'churn', namespace: 'shop' }, spec: { rollout: fields } };
  const analysis = withDefaults(ModelDeployment, manifest).spec.rollout.analysis as Analysis;
  const judged: string[] = [];
  let request: AnalysisRequest | undefined;
  let state: AnalysisState | undefined;
  cluster.verdict = 'InsufficientData';
  const isOver = () => cluster.target === cluster.progress?.target && /Done|Returned/.test(cluster.progress.stage);
  for (let tick = 1; tick < 1_000 && !isOver(); tick += 1) {
    const asked = run(cluster, { ticks: 1 })[0]?.decision.analyse;
    if (asked === undefined) continue;
    const weight = cluster.weights.get(asked.canary) ?? 0;
    const traffic = weight === 100 ? 'Whole' : 'Split';
    if (asked.sinceMs !== request?.sinceMs) [request, state] = [asked, beginAnalysis(traffic)];
    const requests = 10 * weight;
    state = observe(state ?? beginAnalysis(traffic), {
      endMs: tick * 10_000,
      durationMs: 10_000,
      canary: counts({ requests, errors: requests * errorRateAt(weight) }),
      stable: counts({ requests: 1_000 - requests }),
    });
    const policy = compilePolicy(analysis, {
      traffic,
      analyse: asked.metrics,
      analysedSteps: 2,
      limitsOnly: asked.limitsOnly,
    });
    const { verdict, metrics } = judge(state, policy);
    cluster.verdict = verdict;
    cluster.breaksHardLimit = metrics.some((metric) => metric.verdict === 'Unhealthy' && metric.isHardLimit);
    judged.push(`${weight}: ${metrics.map(({ name }) => name).join(' ')}`);
  }
  return [...new Set(judged)];
}

test('a metric that compares and has a limit is watched by its limit at the end, where a canary that breaks it is taken back', () => {
  const cluster = rollingOut({ rollout: rolloutOf(fields) });
  const judged = rollOut(cluster, (weight) => (weight === 100 ? 0.2 : 0));
  expect(judged).toEqual(['50: errors latency', '100: errors']);
  expect(cluster.progress).toMatchObject({ stage: 'Returned', failure: { reason: 'AnalysisFailed' } });
  expect(cluster.breaksHardLimit).toBe(true);
});

test('and where one that keeps it is done, with nothing left to compare it with', () => {
  const cluster = rollingOut({ rollout: rolloutOf(fields) });
  expect(rollOut(cluster, () => 0)).toEqual(['50: errors latency', '100: errors']);
  expect(cluster.progress?.stage).toBe('Done');
});
