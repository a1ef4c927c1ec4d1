import type { CountsSnapshot } from '../api/counts.ts';
import { ANNOTATIONS, LABELS } from '../api/names.ts';
import type { ApiClient } from '../runtime/api-client.ts';
import { ApiError } from '../runtime/api-error.ts';
import { Backoff } from '../runtime/backoff.ts';
import { type Clock, sleep } from '../runtime/clock.ts';
import { LEASES } from '../runtime/kubernetes-resources.ts';
import { describeError } from '../runtime/outcome.ts';
import type { RouteReport } from '../serving/router/route-table.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Changes that come together are told together; small beside the 200 ms in which a route is to be acknowledged. */
const COALESCE_MS = 10;
const BACKOFF_BASE_MS = 100;
const BACKOFF_MAX_MS = 5_000;
/** All annotations of an object may have 256 KiB. */
const MAX_COUNTS_CHARS = 200_000;
const MAX_REASON_CHARS = 500;

export interface LeaseReportOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly namespace: string;
  readonly podName: string;
  /** The Lease is deleted with this pod; undefined outside a cluster. */
  readonly podUid: string | undefined;
}

/**
 * Tells the operator, by a Lease named like the pod, what this router applies. Written at once when that changes, again
 * until the API server takes it, and never otherwise.
 */
export class LeaseReport {
  readonly #options: LeaseReportOptions;
  readonly #stop = new AbortController();
  /** What the Lease is to say, and what it says as far as is known. */
  #wanted: Readonly<Record<string, string>> | undefined;
  #written: string | undefined;
  #exists = false;
  #running: Promise<void> | undefined;

  constructor(options: LeaseReportOptions) {
    this.#options = options;
  }

  /** From now on this is what the Lease is to say. */
  tell(report: RouteReport): void {
    this.#wanted = {
      ...this.#wanted,
      [ANNOTATIONS.appliedRoutes]: JSON.stringify(report.applied),
      [ANNOTATIONS.refusedRoutes]: JSON.stringify(shortened(report.refused)),
    };
    this.#run();
  }

  /** Leaves the last counts, with whatever was not written yet; gives up when the signal aborts. Nothing is told after it. */
  async end(counts: CountsSnapshot, signal: AbortSignal): Promise<void> {
    this.#wanted = { ...this.#wanted, [ANNOTATIONS.finalCounts]: this.#bounded(counts) };
    this.#run();
    const { promise, resolve } = Promise.withResolvers<void>();
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
    await Promise.race([this.#running, promise]);
    this.#stop.abort();
    if (this.#written !== JSON.stringify(this.#wanted)) {
      this.#options.logger.warn(
        'the last counts could not be left on the Lease: the operator misses those since it read last',
      );
    }
  }

  #run(): void {
    this.#running ??= this.#write().finally(() => {
      this.#running = undefined;
    });
  }

  async #write(): Promise<void> {
    const { clock, random, logger } = this.#options;
    const backoff = new Backoff(BACKOFF_BASE_MS, BACKOFF_MAX_MS, random);
    await sleep(clock, COALESCE_MS, this.#stop.signal);
    while (!this.#stop.signal.aborted) {
      const annotations = this.#wanted;
      const text = JSON.stringify(annotations);
      if (annotations === undefined || text === this.#written) return;
      try {
        await this.#put(annotations);
        this.#written = text;
        backoff.reset();
      } catch (error) {
        const delayMs = backoff.next();
        logger.warn(`the Lease was not written: ${describeError(error)}`, { retryAfterMs: Math.round(delayMs) });
        await sleep(clock, delayMs, this.#stop.signal);
      }
    }
  }

  async #put(annotations: Readonly<Record<string, string>>): Promise<void> {
    const { client, namespace, podName } = this.#options;
    const signal = this.#stop.signal;
    if (!this.#exists) {
      try {
        await client.create(LEASES, this.#lease(annotations), signal);
        this.#exists = true;
        return;
      } catch (error) {
        // Left by this pod before its container was started again.
        if (!(error instanceof ApiError && error.isAlreadyExists)) throw error;
      }
    }
    try {
      const { metadata } = this.#lease(annotations);
      // The last counts of the process before would stay for as long as the pod lives.
      const written = { [ANNOTATIONS.finalCounts]: null, ...annotations };
      await client.mergePatch(
        LEASES,
        { namespace, name: podName },
        { metadata: { ...metadata, namespace: undefined, annotations: written } },
      );
      this.#exists = true;
    } catch (error) {
      if (error instanceof ApiError && error.isNotFound) this.#exists = false;
      throw error;
    }
  }

  #lease(annotations: Readonly<Record<string, string>>) {
    const { namespace, podName, podUid } = this.#options;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        namespace,
        name: podName,
        labels: { [LABELS.routerReport]: 'true' },
        annotations,
        ...(podUid !== undefined && {
          ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: podName, uid: podUid }],
        }),
      },
      spec: { holderIdentity: podName },
    };
  }

  /** As much of the counts as an annotation may hold: first those with several revisions, of which one may be judged; then the busiest. */
  #bounded({ revisions, ...rest }: CountsSnapshot): string {
    const all = Object.entries(revisions).flatMap(([modelDeployment, own]) =>
      Object.entries(own).map(([revision, counts]) => {
        const isContested = Object.keys(own).length > 1;
        return { modelDeployment, revision, counts, isContested };
      }),
    );
    // Without a prototype, so that a ModelDeployment may be named `constructor`.
    const kept: CountsSnapshot = { ...rest, revisions: Object.create(null) };
    let chars = JSON.stringify(kept).length;
    let left = 0;
    for (const { modelDeployment, revision, counts } of all.toSorted(byImportance)) {
      const size = JSON.stringify({ [modelDeployment]: { [revision]: counts } }).length;
      if (chars + size > MAX_COUNTS_CHARS) {
        left++;
        continue;
      }
      chars += size;
      kept.revisions[modelDeployment] ??= {};
      kept.revisions[modelDeployment][revision] = counts;
    }
    if (left > 0) this.#options.logger.warn(`the last counts of ${left} revisions do not fit into the Lease`);
    return JSON.stringify(kept);
  }
}

interface Importance {
  readonly isContested: boolean;
  readonly counts: { readonly requests: number };
}

function byImportance(a: Importance, b: Importance): number {
  return Number(b.isContested) - Number(a.isContested) || b.counts.requests - a.counts.requests;
}

function shortened(reasons: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(reasons).map(([name, reason]) => [name, reason.slice(0, MAX_REASON_CHARS)]));
}
