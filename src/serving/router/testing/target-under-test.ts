import { systemClock } from '../../batching/batcher.ts';
import { RevisionCounter } from '../../counts/revision-counter.ts';
import { EndpointPool } from '../balancing/endpoint-pool.ts';
import type { Choice, RequestRouter, RouterClock, Target } from '../types.ts';

/** A revision as relays see it, with its counts in reach. */
export interface TargetUnderTest extends Target {
  readonly pool: EndpointPool;
  readonly observer: RevisionCounter;
}

export interface TargetOptions {
  readonly maxInFlight?: number;
  readonly maxQueue?: number;
  readonly clock?: RouterClock;
}

/** A revision whose pods listen for gRPC on these ports of 127.0.0.1. */
export function grpcTarget(revision: string, ports: readonly number[], options: TargetOptions = {}): TargetUnderTest {
  const { maxInFlight = 100, maxQueue = 100, clock = systemClock } = options;
  const pool = new EndpointPool({ clock, maxInFlight, room: { waiting: 0, max: maxQueue } });
  pool.update(ports.map((grpc) => ({ address: '127.0.0.1', ports: { http: 1, grpc } })));
  return { modelDeployment: 'churn', revision, pool, observer: new RevisionCounter() };
}

/** Sends every request to one target. */
export function always(target: Target, rest: Partial<Choice> = {}): RequestRouter {
  const choice: Choice = { target, elsewhere: [], maxBodyBytes: 1_000_000, timeoutMs: 60_000, ...rest };
  return { choose: () => choice };
}
