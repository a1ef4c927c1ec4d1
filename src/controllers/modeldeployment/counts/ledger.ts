import type { CountsSnapshot, RevisionCounts } from '../../../api/counts.ts';
import { countsDifference } from './difference.ts';
import type { CountsReading } from './reader.ts';

/** What one process counted since it was read before, by revision. */
export interface InstanceInterval {
  readonly instance: string;
  readonly revisions: Readonly<Record<string, RevisionCounts>>;
}

/** What all of them counted since the reading before. */
export interface LedgerInterval {
  readonly instances: readonly InstanceInterval[];
  /**
   * It is all that was counted since, and nothing older: whoever told at the reading before has told again or left its last
   * counts, and whoever has told now also did so before, or is new.
   */
  readonly isWhole: boolean;
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
  /** The processes that told at the reading before, by pod. */
  #told: ReadonlyMap<string, string> = new Map();
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

  /** Takes in one reading of all sources. The first one gives no counts: it is what later ones are compared with. */
  take(readings: readonly CountsReading[]): LedgerInterval {
    const before = this.#told;
    const [told, stopped] = [new Map<string, string>(), new Set<string>()];
    const intervals: (InstanceInterval | undefined)[] = [];
    let isWhole = readings.every((reading) => 'snapshot' in reading);
    const add = (uid: string, snapshot: CountsSnapshot) => {
      // What it counted before the reading at which it did not tell comes with this one, or never.
      isWhole &&= before.has(uid) || !this.#pods.has(uid);
      intervals.push(this.#intervalOf(uid, snapshot));
    };
    // Before the readings, since the next process of a pod takes the place of the one that has stopped.
    for (const { uid, snapshot } of this.#waiting.values()) {
      this.#ended.add(snapshot.instance);
      // A pod keeps the last counts of a process that stopped long ago, however often its container was started since.
      if (this.#pods.has(uid) && !this.#counts.has(snapshot.instance)) continue;
      stopped.add(snapshot.instance);
      add(uid, snapshot);
    }
    this.#waiting.clear();
    for (const reading of readings) {
      const { uid } = reading.source;
      if ('failure' in reading) {
        if (!this.#pods.has(uid)) this.#pods.set(uid, undefined);
      } else if (!this.#ended.has(reading.snapshot.instance)) {
        add(uid, reading.snapshot);
        this.#begin(uid, reading.snapshot.instance);
        told.set(uid, reading.snapshot.instance);
      }
    }
    const here = new Set(told.values());
    isWhole &&= [...before.values()].every((instance) => here.has(instance) || stopped.has(instance));
    // Where nobody told anything, what comes next is compared with the reading before.
    if (intervals.length > 0) this.#told = told;
    const instances = this.#hasBegun ? intervals.filter((interval) => interval !== undefined) : [];
    // Where nobody was asked, there is nothing yet that later counts could be compared with.
    this.#hasBegun ||= readings.length > 0;
    return { instances, isWhole };
  }

  /** @returns undefined where it is not known how much of its counts is older than the reading before */
  #intervalOf(uid: string, { instance, revisions }: CountsSnapshot): InstanceInterval | undefined {
    const now = revisions[this.#modelDeployment] ?? {};
    const before = this.#counts.get(instance);
    this.#counts.set(instance, now);
    // It was there at the reading before but never told.
    if (before === undefined && this.#pods.has(uid) && this.#pods.get(uid) === undefined) return undefined;
    const counted = Object.entries(now).map(([revision, counts]) => [
      revision,
      countsDifference(counts, before?.[revision]),
    ]);
    return { instance, revisions: Object.fromEntries(counted) };
  }

  /** The process that is read in a pod from now on. */
  #begin(uid: string, instance: string): void {
    const former = this.#pods.get(uid);
    if (former !== undefined && former !== instance) this.#counts.delete(former);
    this.#pods.set(uid, instance);
  }
}

/** The last counts of a process that stopped in good order. */
export interface LastCounts {
  /** Of the pod that it ran in. */
  readonly uid: string;
  readonly snapshot: CountsSnapshot;
}
