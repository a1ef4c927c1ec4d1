import { LRUCache } from 'lru-cache';
import type { Logger } from 'winston';
import type { ApiClient } from './api-client.ts';
import { ApiError } from './api-error.ts';
import type { Clock } from './clock.ts';
import { rfc3339Micros } from './conditions.ts';
import { EVENTS } from './kubernetes-resources.ts';
import { describeError } from './outcome.ts';
import { TokenBucket } from './rate-limiter.ts';
import type { KubeObject } from './types.ts';

/** Something that happened, told to people once and not a state: states are conditions. */
export interface EventInput {
  readonly type: 'Normal' | 'Warning';
  /** Why, a word in CamelCase. */
  readonly reason: string;
  /** What was done or tried, a word in CamelCase. */
  readonly action: string;
  /** A sentence for people, of which the API keeps 1024 bytes. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** `fairlead.dev/operator`. */
  readonly controller: string;
  /** The pod that tells it. */
  readonly instance: string;
  readonly onDropped: (reason: 'rate-limited' | 'buffer-full' | 'refused') => void;
}

/** As client-go: after a burst of 25, one Event every five minutes an object. */
const BURST_PER_OBJECT = 25;
const PER_SECOND_PER_OBJECT = 1 / 300;
/** The same Event within this time is counted in a series and not told anew. */
const SERIES_QUIET_MS = 360_000;
/** A growing series is written at most this often. */
const SERIES_WRITE_MS = 60_000;
const MAX_WAITING = 1_000;
const MAX_REMEMBERED = 4_096;
const MAX_NOTE_BYTES = 1_024;

/** An Event that may repeat. */
interface Series {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  count: number;
  writtenCount: number;
  lastSeenMs: number;
  cancelWrite: (() => void) | undefined;
}

/** A write that waits its turn. */
interface Write {
  send(): Promise<unknown>;
  /** It was not sent, or sent in vain by this error. */
  lost(error?: unknown): void;
}

/**
 * Writes Events in the background: telling one never waits and never fails. Repetitions become a series with a count,
 * and each object has a budget, so that an object in a loop cannot flood the cluster.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #series = new LRUCache<string, Series>({
    max: MAX_REMEMBERED,
    dispose: (series) => series.cancelWrite?.(),
  });
  readonly #budgets = new LRUCache<string, TokenBucket>({ max: MAX_REMEMBERED });
  readonly #waiting: Write[] = [];
  #writing: Promise<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  record(regarding: KubeObject, event: EventInput): void {
    const nowMs = this.#options.clock.now();
    const note = truncate(event.note);
    const key = JSON.stringify([regarding.metadata.uid, event.type, event.reason, event.action, note]);
    const known = this.#series.get(key);
    if (known !== undefined && nowMs - known.lastSeenMs < SERIES_QUIET_MS) {
      known.count += 1;
      known.lastSeenMs = nowMs;
      known.cancelWrite ??= this.#options.clock.after(SERIES_WRITE_MS, () => this.#writeSeries(known));
      return;
    }
    if (!this.#budgetOf(regarding).tryTake()) {
      this.#options.onDropped('rate-limited');
      return;
    }
    const name = `${regarding.metadata.name.slice(0, 200)}.${this.#uniqueSuffix(nowMs)}`;
    const namespace = regarding.metadata.namespace ?? 'default';
    const series: Series = {
      ...{ key, namespace, name, count: 1, writtenCount: 1 },
      lastSeenMs: nowMs,
      cancelWrite: undefined,
    };
    this.#series.set(key, series);
    const manifest = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace },
      eventTime: rfc3339Micros(nowMs),
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance.slice(0, 128),
      regarding: {
        apiVersion: regarding.apiVersion,
        kind: regarding.kind,
        name: regarding.metadata.name,
        namespace: regarding.metadata.namespace,
        uid: regarding.metadata.uid,
        resourceVersion: regarding.metadata.resourceVersion,
      },
      type: event.type,
      reason: event.reason,
      action: event.action,
      note,
    };
    this.#enqueue({
      send: () => this.#options.client.create(EVENTS, manifest),
      lost: () => this.#forget(series),
    });
  }

  /** Resolves when everything told so far was written or given up. */
  async flushed(): Promise<void> {
    await this.#writing;
  }

  #writeSeries(series: Series): void {
    series.cancelWrite = undefined;
    if (series.count === series.writtenCount) return;
    series.writtenCount = series.count;
    const body = { series: { count: series.count, lastObservedTime: rfc3339Micros(series.lastSeenMs) } };
    this.#enqueue({
      send: () => this.#options.client.mergePatch(EVENTS, series, body),
      lost: (error) => {
        if (error instanceof ApiError && error.isNotFound) this.#forget(series);
      },
    });
  }

  /** There is no such Event to count repetitions in: the next one is told as the first. */
  #forget(series: Series): void {
    if (this.#series.peek(series.key) === series) this.#series.delete(series.key);
  }

  #budgetOf(regarding: KubeObject): TokenBucket {
    const key =
      regarding.metadata.uid ?? `${regarding.kind}/${regarding.metadata.namespace}/${regarding.metadata.name}`;
    const known = this.#budgets.get(key);
    if (known !== undefined) return known;
    const budget = new TokenBucket(this.#options.clock, PER_SECOND_PER_OBJECT, BURST_PER_OBJECT);
    this.#budgets.set(key, budget);
    return budget;
  }

  #enqueue(write: Write): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#options.onDropped('buffer-full');
      write.lost();
      return;
    }
    this.#waiting.push(write);
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    for (let write = this.#waiting.shift(); write !== undefined; write = this.#waiting.shift()) {
      try {
        await write.send();
      } catch (error) {
        // An Event is not worth a retry: what it tells about shows in conditions too.
        this.#options.onDropped('refused');
        write.lost(error);
        const level = error instanceof ApiError && (error.isNotFound || error.isForbidden) ? 'debug' : 'warn';
        this.#options.logger.log(level, `an Event was not written: ${describeError(error)}`);
      }
    }
    this.#writing = undefined;
  }

  #uniqueSuffix(nowMs: number): string {
    const drawn = Math.floor(this.#options.random() * 0xffff_ffff)
      .toString(16)
      .padStart(8, '0');
    return `${nowMs.toString(16)}${drawn}`;
  }
}

function truncate(note: string): string {
  if (Buffer.byteLength(note) <= MAX_NOTE_BYTES) return note;
  return `${Buffer.from(note)
    .subarray(0, MAX_NOTE_BYTES - 6)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')}...`;
}
