import { LRUCache } from 'lru-cache';
import { ApiError, ConnectionError } from '../../runtime/api-error.ts';
import type { ReconcileContext } from '../../runtime/reconcile-context.ts';
import { EVENTS, type Pod } from '../resources.ts';
import { type Diagnosis, diagnoseMounts, diagnosePod } from './diagnose.ts';

/** Mounts take seconds, and what fails at first often heals at once. */
const GRACE_MS = 30_000;
/** The kubelet tries again at least every two minutes. */
const ASK_AGAIN_MS = 30_000;
/** Pods that are asked about, those that wait longest: the others of a revision mostly wait for the same. */
const MOST_ASKED = 10;
const MOST_REMEMBERED = 10_000;

export interface MountFailures {
  /** By the uids of pods. */
  readonly failures: ReadonlyMap<string, Diagnosis>;
  /** When to look again; undefined where no pod is being started. */
  readonly lookAgainAtMs: number | undefined;
}

/** Why pods wait for their volumes. Only Events tell; they are not watched, but read for pods that take long to start. */
export class PodEvents {
  /** What was found when a pod was last asked about, by its uid. */
  readonly #told = new LRUCache<string, { readonly askedAtMs: number; readonly failure: Diagnosis | undefined }>({
    max: MOST_REMEMBERED,
  });

  /** What cannot be read is not known: nothing but a sentence of status is made of it. */
  async mountFailures(
    pods: readonly Pod[],
    context: Pick<ReconcileContext, 'client' | 'log' | 'signal'>,
    nowMs: number,
  ): Promise<MountFailures> {
    const starting = pods
      .filter((pod) => diagnosePod(pod)?.reason === 'Starting')
      .sort((a, b) => scheduledAtMs(a) - scheduledAtMs(b))
      .slice(0, MOST_ASKED);
    await Promise.all(
      starting
        .filter((pod) => this.#dueAtMs(pod, nowMs) <= nowMs)
        .map(async (pod) => {
          this.#told.set(pod.metadata.uid ?? '', { askedAtMs: nowMs, failure: await this.#ask(pod, context) });
        }),
    );
    const found = starting.flatMap(({ metadata: { uid = '' } }) => {
      const failure = this.#told.get(uid)?.failure;
      return failure === undefined ? [] : [[uid, failure] as const];
    });
    const dueAtMs = starting.map((pod) => this.#dueAtMs(pod, nowMs));
    const lookAgainAtMs = starting.length === 0 ? undefined : Math.min(...dueAtMs);
    return { failures: new Map(found), lookAgainAtMs };
  }

  #dueAtMs(pod: Pod, nowMs: number): number {
    const told = this.#told.get(pod.metadata.uid ?? '');
    if (told === undefined) return scheduledAtMs(pod) + GRACE_MS;
    // What is yet to come was asked before the clock was put back.
    return told.askedAtMs > nowMs ? nowMs : told.askedAtMs + ASK_AGAIN_MS;
  }

  async #ask(
    pod: Pod,
    { client, log, signal }: Pick<ReconcileContext, 'client' | 'log' | 'signal'>,
  ): Promise<Diagnosis | undefined> {
    const { namespace, uid = '' } = pod.metadata;
    try {
      const { items } = await client.list(EVENTS, { namespace, fields: { 'involvedObject.uid': uid }, signal });
      return diagnoseMounts(pod, items);
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof ConnectionError)) throw error;
      log.debug(`the Events of a pod were not read: ${error.message}`);
      return undefined;
    }
  }
}

function scheduledAtMs({ metadata: { creationTimestamp = '' }, status }: Pod): number {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')?.lastTransitionTime;
  return Date.parse(scheduled ?? creationTimestamp) || 0;
}
