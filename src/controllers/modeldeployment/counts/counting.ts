/** Turns readings of what routers and servers count into the intervals of one analysis. */
import type { RevisionCounts } from '../../../api/counts.ts';
import { combine, type Interval } from '../../../rollout/analysis/interval.ts';
import { CountsLedger, type InstanceInterval, type LastCounts } from './ledger.ts';
import type { CountsReading } from './reader.ts';

/** What was read at one time. */
export interface CountsReadings {
  readonly atMs: number;
  readonly routers: readonly CountsReading[];
  /** Empty where nothing that they count is asked for. */
  readonly servers: readonly CountsReading[];
}

/**
 * Who counts requests. Whoever asks a router also asks a server, so it is one of them for the whole of an analysis: a
 * request that both had counted at different readings would count twice.
 */
export type RequestSource = 'Routers' | 'Servers';

export class Counting {
  readonly #requestsFrom: RequestSource;
  readonly #routers: CountsLedger;
  readonly #servers: CountsLedger;
  /** When counts were last taken in; undefined while there is nothing yet to compare with. */
  #countedAtMs: number | undefined;

  constructor(modelDeployment: string, requestsFrom: RequestSource) {
    this.#requestsFrom = requestsFrom;
    this.#routers = new CountsLedger(modelDeployment);
    this.#servers = new CountsLedger(modelDeployment);
  }

  /** See `CountsLedger.hold`: last counts of routers. */
  hold(last: readonly LastCounts[]): void {
    this.#routers.hold(last);
  }

  /**
   * @returns what was counted since the reading before, or why this one failed; undefined for the first, which later ones
   * are compared with
   */
  take(
    { atMs, routers, servers }: CountsReadings,
    { canary, stable }: { readonly canary: string; readonly stable: string },
  ): Interval | undefined {
    const isByRouters = this.#requestsFrom === 'Routers';
    const answering = isByRouters ? routers : servers;
    const { instances: requests, isWhole } = (isByRouters ? this.#routers : this.#servers).take(answering);
    const failures = answering.flatMap((reading) => ('failure' in reading ? [reading.failure] : []));
    if (requests.length === 0 && failures.length === answering.length) {
      return {
        endMs: atMs,
        failure: failures[0] ?? `there is no ${isByRouters ? 'router' : 'server'} to read counts from`,
      };
    }
    // Not of a reading that failed: their next one then covers the same time as the next one of routers.
    const predictions = isByRouters ? this.#servers.take(servers).instances : requests;
    const beforeMs = this.#countedAtMs;
    this.#countedAtMs = atMs;
    if (beforeMs === undefined) return undefined;
    const [ofCanary, ofStable] = [canary, stable].map((revision) =>
      combine(countsOf(requests, revision), countsOf(predictions, revision)),
    );
    return {
      endMs: atMs,
      durationMs: atMs - beforeMs,
      // Where the clock was set back, nobody knows how long it was either.
      ...((!isWhole || atMs <= beforeMs) && { isPartial: true }),
      ...(ofCanary && { canary: ofCanary }),
      ...(ofStable && { stable: ofStable }),
    };
  }
}

function countsOf(intervals: readonly InstanceInterval[], revision: string): readonly RevisionCounts[] {
  return intervals.flatMap(({ revisions: { [revision]: counts } }) => counts ?? []);
}
