import type { CountsSnapshot, RevisionCounts } from '../../../api/counts.ts';
import { countsDifference } from './difference.ts';
import type { CountsReading } from './reader.ts';

/** What one process counted since it was read before, by revision. */
export interface InstanceInterval {
  readonly instance: string;
  readonly revisions: Readonly<Record<string, RevisionCounts>>;
}

type ByRevision = Readonly<Record<string, RevisionCounts>>;

/**
 * What was last read of the processes that serve one ModelDeployment, so that cumulative counts become those of an
 * interval. It is memory of this operator process alone: after a restart the first reading is what later ones are
 * compared with, and the interval in between counts for nothing. Pods that are missing are remembered, for as long as an
 * analysis lasts: they may be seen again, and their last counts may be told after they have gone.
 */
export class CountsLedger {
  readonly #modelDeployment: string;
  /** Of pods that were among the sources before: the process that was read there; undefined where none ever was. */
  readonly #pods = new Map<string, string | undefined>();
  readonly #counts = new Map<string, ByRevision>();
  /** Of processes that have stopped: what waits for the next reading, and whose was taken in already. */
  readonly #waiting = new Map<string, LastCounts>();
  #ended = new Set<string>();
  #hasBegun = false;

  constructor(modelDeployment: string) {
    this.#modelDeployment = modelDeployment;
  }

  /** Keeps the last counts of processes that have stopped until the next reading: what tells them goes with their pods. */
  hold(all: readonly LastCounts[]): void {
    const told = new Set(all.map(({ snapshot }) => snapshot.instance));
    this.#ended = this.#ended.intersection(told);
    for (const last of all) {
      if (!this.#ended.has(last.snapshot.instance)) this.#waiting.set(last.snapshot.instance, last);
    }
  }

  /**
   * Takes in one reading of all sources.
   * @returns what was counted since the reading before; nothing for the first one
   */
  take(readings: readonly CountsReading[]): readonly InstanceInterval[] {
    const intervals: InstanceInterval[] = [];
    const add = (uid: string, snapshot: CountsSnapshot) => {
      const interval = this.#takeOne(uid, snapshot);
      if (this.#hasBegun && interval !== undefined) intervals.push(interval);
    };
    for (const reading of readings) {
      const { uid } = reading.source;
      if ('snapshot' in reading) add(uid, reading.snapshot);
      else if (!this.#pods.has(uid)) this.#pods.set(uid, undefined);
    }
    for (const { uid, snapshot } of this.#waiting.values()) {
      add(uid, snapshot);
      this.#ended.add(snapshot.instance);
    }
    this.#waiting.clear();
    // Where nobody was asked, there is nothing yet that later counts could be compared with.
    this.#hasBegun ||= readings.length > 0;
    return intervals;
  }

  #takeOne(uid: string, { instance, revisions }: CountsSnapshot): InstanceInterval | undefined {
    const now = revisions[this.#modelDeployment] ?? {};
    const before = this.#counts.get(instance);
    // It was there at the reading before but never told: how much of this is older than that is unknown.
    const isOfUnknownAge = before === undefined && this.#pods.has(uid) && this.#pods.get(uid) === undefined;
    const former = this.#pods.get(uid);
    if (former !== undefined && former !== instance) this.#counts.delete(former);
    this.#pods.set(uid, instance);
    this.#counts.set(instance, now);
    if (isOfUnknownAge) return undefined;
    const counted = Object.entries(now).map(([revision, counts]) => [
      revision,
      countsDifference(counts, before?.[revision]),
    ]);
    return { instance, revisions: Object.fromEntries(counted) };
  }
}

/** The last counts of a process that stopped in good order. */
export interface LastCounts {
  /** Of the pod that it ran in. */
  readonly uid: string;
  readonly snapshot: CountsSnapshot;
}
