import { randomUUID } from 'node:crypto';
import type { Logger } from 'winston';
import type { ControllerMetrics } from '../telemetry/operator-metrics.ts';
import { annotate } from './annotate.ts';
import type { ApiClient } from './api-client.ts';
import type { Applier } from './apply.ts';
import type { Clock } from './clock.ts';
import type { EventRecorder } from './events.ts';
import { addFinalizer, removeFinalizer } from './finalizers.ts';
import type { Change } from './informer.ts';
import type { Informers } from './informers.ts';
import { decide, describeError, type Outcome } from './outcome.ts';
import { prune } from './prune.ts';
import type { ControllerDefinition, ReconcileContext } from './reconcile-context.ts';
import { scale } from './scale.ts';
import { writeStatus } from './status.ts';
import { controllerOf, type KubeObject, keyOf, type ObjectKey, objectKey, type Resource } from './types.ts';
import { WorkQueue } from './work-queue.ts';

export interface ControllerServices {
  /** Fenced: refuses to write when this process does not lead. */
  readonly client: ApiClient;
  readonly informers: Informers;
  readonly applier: Applier;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ControllerMetrics;
  /** Aborts when running reconciles are to be given up. */
  readonly signal: AbortSignal;
}

const DEFAULT_WORKERS = 4;
/** How often it is looked whether a namespace is known again of which a part may not be listed. */
const UNLISTED_RETRY_MS = 30_000;

/** Runs one definition: turns changes into keys, and keys into reconciles whose outcome `decide` settles. */
export class Controller {
  readonly #definition: ControllerDefinition;
  readonly #services: ControllerServices;
  readonly #queue: WorkQueue;
  readonly #log: Logger;
  /** Objects of which was logged what is logged once. */
  readonly #told = new Set<ObjectKey>();
  #active = 0;

  constructor(definition: ControllerDefinition, services: ControllerServices) {
    const workers = definition.workers ?? DEFAULT_WORKERS;
    this.#definition = definition;
    this.#services = services;
    this.#log = services.logger.child({ controller: definition.name });
    services.metrics.maxConcurrentReconciles(workers);
    services.metrics.activeWorkers(0);
    this.#queue = new WorkQueue({
      clock: services.clock,
      workers,
      metrics: services.metrics.queue,
      process: (key) => this.#process(key),
      onPanic: (key, error) => {
        services.metrics.panicked();
        this.#log.error(`failed outside of its reconcile: ${describeError(error)}`, { object: key });
      },
    });
    this.#subscribe();
  }

  /** Begins to reconcile what has gathered. */
  start(): void {
    this.#queue.start();
  }

  /** Starts nothing new and resolves when running reconciles have ended. */
  async stop(): Promise<void> {
    await this.#queue.stop();
  }

  get isIdle(): boolean {
    return this.#queue.isIdle;
  }

  #subscribe(): void {
    const { primary, owns, watches } = this.#definition;
    const { informers } = this.#services;
    informers.of(primary.resource).onChange((change) => this.#add(change, (object) => [keyOf(object)]));
    for (const { resource } of owns) {
      informers.of(resource).onChange((change) => this.#add(change, (object) => ownerKeys(object, primary.resource)));
    }
    for (const watch of watches) {
      informers
        .of(watch.resource)
        .onChange((change) => this.#add(change, (object, other) => watch.map(object, informers, other)));
    }
  }

  #add(
    change: Change<KubeObject>,
    keysOf: (object: KubeObject, other: KubeObject | undefined) => readonly ObjectKey[],
  ): void {
    const keys = new Set<ObjectKey>();
    const { old: before, new: after } = change;
    // Both sides: an object that moved from one owner or selector to another concerns both.
    const sides =
      before === after
        ? [[after, undefined]]
        : [
            [before, after],
            [after, before],
          ];
    for (const [object, other] of sides) {
      if (object === undefined) continue;
      try {
        for (const key of keysOf(object, other)) keys.add(key);
      } catch (error) {
        this.#services.metrics.panicked();
        this.#log.error(
          `cannot tell whom a change of ${object.kind} ${keyOf(object)} concerns: ${describeError(error)}`,
        );
      }
    }
    for (const key of keys) this.#queue.add(key, { routine: change.routine });
  }

  async #process(key: ObjectKey): Promise<void> {
    const { informers, metrics, clock } = this.#services;
    const object = informers.get(this.#definition.primary.resource, key);
    if (object === undefined) {
      this.#queue.forget(key);
      this.#told.delete(key);
      this.#definition.forget?.(key);
      return;
    }
    // What is not in the cache may exist all the same: nothing may be concluded from its absence.
    if (informers.unlisted(object.metadata.namespace ?? '').length > 0) {
      this.#queue.addAfter(key, UNLISTED_RETRY_MS);
      return;
    }
    const log = this.#log.child({ object: key, reconcileID: randomUUID() });
    const startedMs = clock.monotonic();
    metrics.activeWorkers(++this.#active);
    let outcome: Outcome;
    try {
      outcome = { kind: 'returned', result: await this.#definition.reconcile(object, this.#contextFor(key, log)) };
    } catch (error) {
      outcome = { kind: 'threw', error };
    } finally {
      metrics.activeWorkers(--this.#active);
    }
    this.#settle(key, outcome, (clock.monotonic() - startedMs) / 1000, log);
  }

  #settle(key: ObjectKey, outcome: Outcome, seconds: number, log: Logger): void {
    const { metrics } = this.#services;
    const decision = decide(outcome);
    metrics.reconciled(decision.metric, seconds);
    if (decision.metric === 'error') metrics.failed(decision.terminal);
    if (decision.forgetFailures) this.#queue.forget(key);
    if (decision.requeue === 'rate-limited') this.#queue.addRateLimited(key, decision.withinMs);
    else if (decision.requeue !== undefined) this.#queue.addAfter(key, decision.requeue.afterMs);
    if (decision.log !== undefined) {
      const { level, message, once = false } = decision.log;
      const stack = outcome.kind === 'threw' && outcome.error instanceof Error ? outcome.error.stack : undefined;
      const detail = level === 'error' ? { failures: this.#queue.failures(key), stack } : {};
      log.log(once && this.#told.has(key) ? 'debug' : level, message, detail);
      if (once) this.#told.add(key);
    }
  }

  #contextFor(key: ObjectKey, log: Logger): ReconcileContext {
    const { client, informers, applier, events, clock, signal } = this.#services;
    return {
      key,
      log,
      signal,
      client,
      cache: informers,
      now: () => clock.now(),
      wake: () => this.#queue.add(key),
      apply: (resource, desired) => applier.apply(resource, desired, informers.of(resource), log),
      scale: (resource, object, replicas) => scale(client, informers.of(resource), resource, object, replicas),
      annotate: async (resource, object, annotations) =>
        informers.of(resource).observe(await annotate(client, resource, object, annotations)),
      prune: (owner, resources, keep) => prune(client, informers, owner, resources, keep),
      writeStatus: async (resource, object, status) =>
        informers.of(resource).observe(await writeStatus(client, resource, object, status)),
      addFinalizer: async (resource, object, finalizer) =>
        informers.of(resource).observe(await addFinalizer(client, resource, object, finalizer)),
      removeFinalizer: async (resource, object, finalizer) =>
        informers.of(resource).observe(await removeFinalizer(client, resource, object, finalizer)),
      event: (regarding, event) => events.record(regarding, event),
    };
  }
}

/** The key of the primary that controls the object, if a primary does. */
function ownerKeys(object: KubeObject, primary: Resource): readonly ObjectKey[] {
  const owner = controllerOf(object);
  if (owner === undefined || owner.kind !== primary.kind) return [];
  const group = owner.apiVersion.includes('/') ? owner.apiVersion.split('/', 1)[0] : '';
  if (group !== primary.group) return [];
  return [objectKey({ namespace: primary.namespaced ? object.metadata.namespace : undefined, name: owner.name })];
}
