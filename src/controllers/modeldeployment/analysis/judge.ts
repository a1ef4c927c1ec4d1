/** What the analysis of the step under way says, for the engine and for status. Pure. */
import Value from 'typebox/value';
import { Analysis } from '../../../api/v1alpha1/analysis.ts';
import type { ModelDeploymentSpec } from '../../../api/v1alpha1/model-deployment.ts';
import type { MetricResult } from '../../../api/v1alpha1/model-deployment-status.ts';
import { judge } from '../../../rollout/analysis/judge.ts';
import { type AnalysisPolicy, compilePolicy, type Traffic } from '../../../rollout/analysis/policy.ts';
import { quantity } from '../../../rollout/analysis/quantity.ts';
import type { MetricVerdict } from '../../../rollout/analysis/verdict.ts';
import { compileRollout } from '../../../rollout/compile.ts';
import type { AnalysisRequest, Verdict } from '../../../rollout/types.ts';
import type { AnalysisRecord } from './record.ts';

export interface JudgedStep {
  readonly verdict: Verdict;
  readonly metrics: readonly MetricResult[];
}

/**
 * How a request of the engine is judged.
 * @throws InvalidMetric where an expression of the spec does not compile
 */
export function policyOf(
  { rollout }: Pick<ModelDeploymentSpec, 'rollout'>,
  traffic: Traffic,
  { metrics: analyse, limitsOnly }: Pick<AnalysisRequest, 'metrics' | 'limitsOnly'>,
): AnalysisPolicy {
  const analysis = rollout.analysis ?? (Value.Default(Analysis, {}) as Analysis);
  const analysedSteps = compileRollout(rollout).steps.filter((step) => step.analyse.length > 0).length;
  return compilePolicy(analysis, { traffic, analyse, analysedSteps, limitsOnly });
}

export function judgeStep({ request, state }: AnalysisRecord, spec: Pick<ModelDeploymentSpec, 'rollout'>): JudgedStep {
  const { verdict, message, metrics } = judge(state, policyOf(spec, state.traffic, request));
  const breaksHardLimit = metrics.some((each) => !each.dryRun && each.verdict === 'Unhealthy' && each.isHardLimit);
  return {
    verdict: { kind: verdict, message, sinceMs: request.sinceMs, breaksHardLimit },
    metrics: metrics.map(resultOf),
  };
}

function resultOf({ name, verdict, unit, dryRun, message, ...numbers }: MetricVerdict): MetricResult {
  const shown = (value: number | undefined) => (value === undefined ? undefined : quantity(value, unit));
  const [canary, stable, lower, upper, threshold] = [
    numbers.canary,
    numbers.stable,
    numbers.lower,
    numbers.upper,
    numbers.limit,
  ].map(shown);
  return {
    name,
    verdict,
    ...(canary !== undefined && { canary }),
    ...(stable !== undefined && { stable }),
    ...(lower !== undefined && upper !== undefined && { bounds: `${lower} to ${upper}` }),
    ...(threshold !== undefined && { threshold }),
    message: message.slice(0, 512),
    ...(dryRun && { dryRun }),
  };
}
