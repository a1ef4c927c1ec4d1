import type { Logger } from 'winston';
import type { ApiClient, WriteFence } from './api-client.ts';
import { ApiError } from './api-error.ts';
import { type Clock, sleep } from './clock.ts';
import { rfc3339Micros } from './conditions.ts';
import { LEASES, type Lease } from './kubernetes-resources.ts';
import { describeError, StoppedError } from './outcome.ts';

export interface LeaderElectionOptions {
  /**
   * Not fenced: whoever does not lead must be able to try. With connections of its own: a renewal must not wait behind
   * the writes of reconciles.
   */
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly namespace: string;
  readonly name: string;
  /** Unlike that of any other process, this one's predecessor in the same pod included. */
  readonly identity: string;
  readonly timing?: LeaseTiming;
  readonly onLeading?: (leads: boolean) => void;
}

export interface LeaseTiming {
  /** After this long without a renewal others may take over. */
  readonly leaseDurationMs: number;
  /** After this long without a successful renewal the leader stops by itself. Less than the duration. */
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

export const DEFAULT_LEASE_TIMING: LeaseTiming = Object.freeze({
  leaseDurationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryPeriodMs: 2_000,
});

/** As client-go: attempts spread over one to 2.2 periods, so that candidates do not march in step. */
const JITTER = 1.2;

/**
 * One leader among the replicas by a Lease. Clocks of other machines are not trusted: a lease has run out when its
 * record did not change for its duration by our own clock.
 *
 * The elector is the fence of all writes: it lets none pass when the last renewal is too long ago, even if this process
 * was frozen and its timers are late.
 */
export class LeaderElector implements WriteFence {
  readonly #options: LeaderElectionOptions;
  readonly #timing: LeaseTiming;
  readonly #lost = new AbortController();
  /** The record as last seen, and when it last changed. */
  #observed: { readonly lease: Lease; readonly record: string; readonly atMs: number } | undefined;
  /** When the last successful renewal was begun; undefined unless leading. */
  #renewedAtMs: number | undefined;
  /** What is being asked of the server; aborted when it takes too long or the lease is lost. */
  #underway: AbortController | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#timing = options.timing ?? DEFAULT_LEASE_TIMING;
    const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = this.#timing;
    if (!(leaseDurationMs > renewDeadlineMs && renewDeadlineMs > retryPeriodMs * JITTER)) {
      throw new Error(
        `lease duration (${leaseDurationMs} ms) must exceed the renew deadline (${renewDeadlineMs} ms), and that ${JITTER} retry periods (${retryPeriodMs} ms)`,
      );
    }
  }

  /** Aborts when leadership is lost or given up. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  get isLeader(): boolean {
    const { clock } = this.#options;
    return (
      !this.#lost.signal.aborted &&
      this.#renewedAtMs !== undefined &&
      clock.monotonic() - this.#renewedAtMs < this.#timing.renewDeadlineMs
    );
  }

  assertMayWrite(): void {
    if (!this.isLeader) throw new StoppedError(`${this.#options.identity} is not the leader and may not write`);
  }

  /** Resolves once this process leads, or `stop` aborts. */
  async acquire(stop: AbortSignal): Promise<void> {
    const { clock, random, logger, identity } = this.#options;
    logger.info('waiting to become the leader', { identity });
    while (!stop.aborted) {
      const holder = await this.#attempt();
      if (holder === identity) {
        this.#options.onLeading?.(true);
        logger.info('became the leader', { identity });
        return;
      }
      await sleep(clock, this.#timing.retryPeriodMs * (1 + JITTER * random()), stop);
    }
  }

  /** Renews until `stop` aborts or the lease is lost, which aborts `signal`. Answers whether it was lost. */
  async hold(stop: AbortSignal): Promise<'stopped' | 'lost'> {
    const { clock, identity, logger } = this.#options;
    // Made once: a signal that lives as long as the process must not gain a listener at every renewal.
    const ending = AbortSignal.any([stop, this.#lost.signal]);
    let cancelDeadline = this.#onDeadline();
    try {
      for (let begunMs = clock.monotonic(); ; ) {
        // From beginning to beginning: after an attempt that took long the next one is due at once.
        await sleep(clock, this.#timing.retryPeriodMs - (clock.monotonic() - begunMs), ending);
        if (ending.aborted) break;
        begunMs = clock.monotonic();
        const before = this.#renewedAtMs;
        const holder = await this.#attempt();
        if (holder !== undefined && holder !== identity) {
          logger.error(`another process leads now: ${holder}`);
          break;
        }
        if (this.#renewedAtMs !== before) {
          cancelDeadline();
          cancelDeadline = this.#onDeadline();
        }
      }
    } finally {
      cancelDeadline();
    }
    if (stop.aborted && this.isLeader) return 'stopped';
    this.#lose();
    return 'lost';
  }

  /** Lets others take over at once. Nothing may be written any more. */
  async release(): Promise<void> {
    const { client, logger, clock, namespace, name, identity } = this.#options;
    const held = this.isLeader;
    this.#lose();
    if (!held) return;
    const now = rfc3339Micros(clock.now());
    try {
      await this.#inTime(async (signal) => {
        const lease = this.#observed?.lease ?? (await client.get(LEASES, { namespace, name }, signal));
        if (lease.spec?.holderIdentity !== identity) return;
        const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now };
        await client.update(LEASES, { ...lease, spec }, signal);
      });
    } catch (error) {
      logger.warn(`the lease was not released and runs out by itself: ${describeError(error)}`);
    }
  }

  #lose(): void {
    if (this.#lost.signal.aborted) return;
    this.#renewedAtMs = undefined;
    const reason = new StoppedError('this process is no longer the leader');
    this.#lost.abort(reason);
    this.#underway?.abort(reason);
    this.#options.onLeading?.(false);
  }

  #onDeadline(): () => void {
    const { clock, logger } = this.#options;
    const leftMs = this.#timing.renewDeadlineMs - (clock.monotonic() - (this.#renewedAtMs ?? clock.monotonic()));
    return clock.after(leftMs, () => {
      logger.error(`the lease was not renewed for ${this.#timing.renewDeadlineMs} ms`);
      // At once, and not when the renewal that hangs comes back.
      this.#lose();
    });
  }

  /**
   * Cuts off what takes half of the renew deadline, as on a connection whose peer is gone: another attempt, on another
   * connection, is then still in time. @throws Error then, and when the lease is lost meanwhile.
   */
  async #inTime<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limitMs = this.#timing.renewDeadlineMs / 2;
    const underway = new AbortController();
    this.#underway = underway;
    const cancel = this.#options.clock.after(limitMs, () =>
      underway.abort(new Error(`no answer within ${limitMs} ms`)),
    );
    const cut = Promise.withResolvers<never>();
    underway.signal.addEventListener('abort', () => cut.reject(underway.signal.reason), { once: true });
    try {
      return await Promise.race([work(underway.signal), cut.promise]);
    } finally {
      cancel();
    }
  }

  /** Tries once to take or renew the lease and answers who holds it; undefined when that could not be found out. */
  async #attempt(): Promise<string | undefined> {
    try {
      return await this.#inTime((signal) => this.#takeOrRenew(signal));
    } catch (error) {
      if (error instanceof ApiError && error.isNotFound) return await this.#createLease();
      const conflict = error instanceof ApiError && error.isConflict;
      // Someone else wrote it first, or nobody knows whether our renewal arrived: the next attempt reads it.
      if (conflict || this.#renewedAtMs !== undefined) this.#observed = undefined;
      this.#tell(error, conflict);
      return undefined;
    }
  }

  async #takeOrRenew(signal: AbortSignal): Promise<string> {
    const { client, namespace, name, identity } = this.#options;
    // While leading the record is known, and writing it on is fenced by its version.
    if (this.#renewedAtMs === undefined || this.#observed === undefined) {
      this.#observe(await client.get(LEASES, { namespace, name }, signal));
    }
    const observed = this.#observed;
    if (observed !== undefined && !this.#mayTake(observed.lease, observed.atMs)) {
      return observed.lease.spec?.holderIdentity ?? '';
    }
    await this.#write(observed?.lease, signal);
    return identity;
  }

  async #createLease(): Promise<string | undefined> {
    try {
      await this.#inTime((signal) => this.#write(undefined, signal));
      return this.#options.identity;
    } catch (error) {
      this.#tell(error, error instanceof ApiError && error.isAlreadyExists);
      return undefined;
    }
  }

  #tell(error: unknown, expected: boolean): void {
    if (this.#lost.signal.aborted) return;
    this.#options.logger.log(expected ? 'debug' : 'warn', `lease: ${describeError(error)}`);
  }

  #mayTake(lease: Lease, unchangedSinceMs: number): boolean {
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder === '' || holder === this.#options.identity) return true;
    const durationMs = (lease.spec?.leaseDurationSeconds ?? this.#timing.leaseDurationMs / 1000) * 1000;
    return this.#options.clock.monotonic() - unchangedSinceMs >= durationMs;
  }

  async #write(lease: Lease | undefined, signal: AbortSignal): Promise<void> {
    const { client, clock, namespace, name, identity } = this.#options;
    const begunMs = clock.monotonic();
    const now = rfc3339Micros(clock.now());
    const ours = lease?.spec?.holderIdentity === identity;
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.max(1, Math.round(this.#timing.leaseDurationMs / 1000)),
      acquireTime: ours ? (lease?.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (lease?.spec?.leaseTransitions ?? 0) + (lease === undefined || ours ? 0 : 1),
    };
    const meta = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
    const written =
      lease === undefined
        ? await client.create(LEASES, { ...meta, metadata: { namespace, name }, spec }, signal)
        : await client.update(LEASES, { ...meta, metadata: lease.metadata, spec }, signal);
    this.#observe(written);
    // Counted from before the request: others count from when they see it, which is later.
    if (!this.#lost.signal.aborted) this.#renewedAtMs = begunMs;
  }

  #observe(lease: Lease): void {
    const record = JSON.stringify(lease.spec ?? {});
    const atMs = this.#observed?.record === record ? this.#observed.atMs : this.#options.clock.monotonic();
    this.#observed = { lease, record, atMs };
  }
}
