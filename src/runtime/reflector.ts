import type { Logger } from 'winston';
import type { ApiClient, WatchEvent } from './api-client.ts';
import { ApiError } from './api-error.ts';
import { Backoff } from './backoff.ts';
import { type Clock, sleep } from './clock.ts';
import { describeError } from './outcome.ts';
import { type KubeObject, keyOf, type LabelSelector, type ObjectKey, type Resource, resourceName } from './types.ts';

/** Who is told what a reflector sees. */
export interface ReflectorTarget<T extends KubeObject> {
  /** One object as a list of this version found it, while that list is still being read. */
  listed(object: T, listVersion: string): void;
  /** The list is complete: what it did not contain at this version is gone. */
  listedAll(keys: ReadonlySet<ObjectKey>, resourceVersion: string): void;
  watched(event: WatchEvent<T>): void;
  /** The server forbids to follow the collection. Tried again all the same. */
  forbidden(error: ApiError): void;
  /** The server does not have the kind, or not for us. Left out where that is an error like any other. */
  absent?(): void;
}

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: ApiClient;
  readonly resource: Resource<T>;
  readonly namespace: string | undefined;
  readonly selector: LabelSelector | undefined;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly target: ReflectorTarget<T>;
}

const PAGE_SIZE = 250;
/** Watches end by themselves between one and two times this, so that many of them do not return at once. */
const WATCH_SECONDS = 300;
const BACKOFF_BASE_MS = 200;
const BACKOFF_MAX_MS = 30_000;
/** A watch that lived this long counts as healthy: what ends it is not part of a series of failures. */
const HEALTHY_WATCH_MS = 5_000;
/** The server sends a bookmark about every minute: a watch that has told nothing by now never will. */
const MUTE_WATCH_MS = 120_000;
/** A kind that is not installed is asked for no more often than this, and only while someone wants it. */
const ABSENT_PAUSE_MS = 5_000;

/**
 * Follows one collection of the API: lists it, watches on from there, and whatever happens (expired versions, broken
 * or silent connections, a restarted server) tries again until told to stop.
 */
export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #backoff: Backoff;
  /** Where to watch on from; undefined asks for a list. */
  #resourceVersion: string | undefined;
  /** Resolves when someone wants a kind that is not installed. */
  #wanted = Promise.withResolvers<void>();

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF_BASE_MS, BACKOFF_MAX_MS, options.random);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const startedMs = clock.monotonic();
      try {
        if (this.#resourceVersion === undefined) await this.#list(signal);
        else await this.#watch(this.#resourceVersion, signal);
        if (clock.monotonic() - startedMs >= HEALTHY_WATCH_MS) this.#backoff.reset();
        // A server that ends every watch at once must not be asked without a pause.
        else if (this.#endedEarly) await sleep(clock, this.#backoff.next(), signal);
      } catch (error) {
        if (signal.aborted) return;
        if (clock.monotonic() - startedMs >= HEALTHY_WATCH_MS) this.#backoff.reset();
        await this.#recover(error, signal);
      }
    }
  }

  #endedEarly = false;

  /** Someone wants the kind: where it is not installed, it is asked for again. */
  lookAgain(): void {
    this.#wanted.resolve();
  }

  async #untilWanted(signal: AbortSignal): Promise<void> {
    this.#wanted = Promise.withResolvers();
    await sleep(this.#options.clock, ABSENT_PAUSE_MS, signal);
    const stop = () => this.#wanted.resolve();
    signal.addEventListener('abort', stop, { once: true });
    if (!signal.aborted) await this.#wanted.promise;
    signal.removeEventListener('abort', stop);
  }

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    const { clock, logger, resource, target } = this.#options;
    // A refused watch may mean that its version is too old: a list finds out.
    if (error instanceof ApiError && error.status !== 429 && error.status !== 503) this.#resourceVersion = undefined;
    const forbidden = error instanceof ApiError && error.isForbidden;
    if (target.absent !== undefined && error instanceof ApiError && (error.isNotFound || forbidden)) {
      target.absent();
      this.#backoff.reset();
      return await this.#untilWanted(signal);
    }
    if (forbidden) target.forbidden(error);
    const quiet = forbidden || (error instanceof ApiError && error.isExpired);
    const delayMs = this.#backoff.next();
    logger.log(quiet ? 'debug' : 'warn', `cannot follow ${resourceName(resource)}: ${describeError(error)}`, {
      retryAfterMs: Math.round(delayMs),
    });
    await sleep(clock, delayMs, signal);
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, resource, namespace, selector, target } = this.#options;
    const keys = new Set<ObjectKey>();
    let continueToken: string | undefined;
    let resourceVersion: string;
    do {
      const page = await client.list(resource, {
        namespace,
        selector,
        limit: PAGE_SIZE,
        continue: continueToken,
        signal,
      });
      for (const object of page.items) {
        keys.add(keyOf(object));
        target.listed(object, page.metadata.resourceVersion);
      }
      resourceVersion = page.metadata.resourceVersion;
      continueToken = page.metadata.continue === '' ? undefined : page.metadata.continue;
    } while (continueToken !== undefined);
    target.listedAll(keys, resourceVersion);
    this.#resourceVersion = resourceVersion;
    this.#endedEarly = false;
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { client, resource, namespace, selector, target, clock, random } = this.#options;
    const startedMs = clock.monotonic();
    const timeoutSeconds = Math.round(WATCH_SECONDS * (1 + random()));
    this.#endedEarly = true;
    try {
      for await (const event of client.watch(resource, {
        namespace,
        selector,
        resourceVersion,
        timeoutSeconds,
        signal,
      })) {
        this.#endedEarly = false;
        target.watched(event);
        this.#resourceVersion = event.object.metadata.resourceVersion ?? this.#resourceVersion;
        this.#backoff.reset();
      }
    } finally {
      // A server whose etcd was restored takes a watch from a version that it has yet to reach, and says nothing until then
      // (kubernetes/kubernetes#107457): a list finds out.
      if (this.#endedEarly && clock.monotonic() - startedMs >= MUTE_WATCH_MS) this.#resourceVersion = undefined;
    }
  }
}
