import { until } from './environment.ts';
import type { ClusterObject } from './kubectl.ts';

export interface FollowedRollout {
  readonly end: ClusterObject;
  /** What `status.rollout.step` said, each once, in the order in which it was seen: `1/4`, `2/4`. */
  readonly steps: readonly string[];
  /** The weights of the new revision, in the order in which they were seen. */
  readonly weights: readonly number[];
}

const ROLLOUT_MS = 150_000;

/** Waits for the end of the rollout of the present spec: promoted, taken back, or paused until a person decides. */
export async function followRollout(namespace: string, name: string): Promise<FollowedRollout> {
  const steps: string[] = [];
  const weights: number[] = [];
  const see = <T>(seen: T[], value: T | undefined) => {
    if (value !== undefined && value !== seen.at(-1)) seen.push(value);
  };
  const end = await until(
    namespace,
    name,
    ({ status }) => {
      see(steps, status.rollout?.step);
      see(weights, status.canary?.weight);
      return ['Ready', 'RolledBack', 'Paused'].includes(status.phase);
    },
    ROLLOUT_MS,
  );
  return { end, steps, weights };
}
