import { type CountsSnapshot, LATENCY_BOUNDS_SECONDS, type RevisionCounts } from '../../api/counts.ts';
import type { Route } from '../../api/route.ts';
import type { FetchCounts } from '../modeldeployment/counts/reader.ts';
import type { PlayedRouters } from './played-routers.ts';

/** How requests to one revision end. */
export interface Behaviour {
  /** From 0 to 1. */
  readonly errorRate: number;
  readonly latencySeconds: number;
}

const REQUESTS_A_READING = 2_000;

/** Plays users: whenever counts are read, so many requests have gone by the route since the time before. */
export class PlayedTraffic {
  /** How requests end, by revision. */
  behaviour: (revision: string) => Behaviour = () => ({ errorRate: 0.001, latencySeconds: 0.01 });
  readonly #routers: PlayedRouters;
  readonly #modelDeployment: string;
  readonly #counts = new Map<string, Map<string, RevisionCounts>>();
  readings = 0;

  constructor(routers: PlayedRouters, modelDeployment: string) {
    this.#routers = routers;
    this.#modelDeployment = modelDeployment;
  }

  readonly fetch: FetchCounts = async (url) => {
    this.readings += 1;
    const instance = new URL(url).hostname;
    const counts = this.#counts.get(instance) ?? new Map<string, RevisionCounts>();
    this.#counts.set(instance, counts);
    const route = this.#routers.applied.get(this.#modelDeployment)?.at(-1);
    for (const [revision, share] of sharesOf(route)) {
      counts.set(revision, added(counts.get(revision), share * REQUESTS_A_READING, this.behaviour(revision)));
    }
    const revisions = { [this.#modelDeployment]: Object.fromEntries(counts) };
    return JSON.stringify({ instance, inFlight: 0, revisions } satisfies CountsSnapshot);
  };
}

function sharesOf(route: Route | undefined): readonly (readonly [string, number])[] {
  return (route?.backends ?? [])
    .filter(({ weight }) => weight > 0)
    .map(({ revision, weight }) => [revision, weight / 100]);
}

function added(
  before: RevisionCounts | undefined,
  count: number,
  { errorRate, latencySeconds }: Behaviour,
): RevisionCounts {
  const requests = Math.round(count);
  const errors = Math.round(requests * errorRate);
  const slot = LATENCY_BOUNDS_SECONDS.findIndex((bound) => latencySeconds <= bound);
  const buckets = before?.latency.buckets ?? Array.from({ length: LATENCY_BOUNDS_SECONDS.length + 1 }, () => 0);
  const at = slot < 0 ? LATENCY_BOUNDS_SECONDS.length : slot;
  return {
    requests: (before?.requests ?? 0) + requests,
    errors: (before?.errors ?? 0) + errors,
    latency: {
      buckets: buckets.map((known, index) => (index === at ? known + requests - errors : known)),
      sumSeconds: (before?.latency.sumSeconds ?? 0) + requests * latencySeconds,
    },
  };
}
