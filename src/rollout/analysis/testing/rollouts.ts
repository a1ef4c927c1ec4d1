import { judge } from '../judge.ts';
import type { AnalysisPolicy } from '../policy.ts';
import { beginAnalysis, observe, requestsOf } from '../state.ts';
import { type Simulation, simulate } from './simulated-traffic.ts';

export interface Outcome {
  readonly healthy: number;
  readonly unhealthy: number;
  /** The canary's own requests until the verdict, which 95% of all rollouts needed at most; infinite where fewer had it. */
  readonly requestsAt95: number;
}

/** Looks at each simulated rollout in every interval, until it is called what is waited for. */
export function rollouts(
  number: number,
  simulation: Omit<Simulation, 'seed'>,
  policy: AnalysisPolicy,
  awaited: 'Healthy' | 'Unhealthy',
): Outcome {
  const found = { Healthy: 0, Unhealthy: 0 };
  const requests: number[] = [];
  for (let seed = 1; seed <= number; seed += 1) {
    let state = beginAnalysis(policy.traffic);
    for (const interval of simulate({ ...simulation, seed })) {
      state = observe(state, interval);
      if (judge(state, policy).verdict !== awaited) continue;
      found[awaited] += 1;
      requests.push(requestsOf(state, 'canary'));
      break;
    }
  }
  requests.sort((a, b) => a - b);
  return {
    healthy: found.Healthy,
    unhealthy: found.Unhealthy,
    requestsAt95: requests[Math.ceil(0.95 * number) - 1] ?? Number.POSITIVE_INFINITY,
  };
}
