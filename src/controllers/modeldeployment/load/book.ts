import type { CountsSnapshot } from '../../../api/counts.ts';
import {
  beginLoad,
  LOAD_INTERVAL_MS,
  type LoadHistory,
  type LoadReading,
  observeLoad,
  podsForLoad,
} from '../../../rollout/load.ts';
import { type ObjectKey, parseKey } from '../../../runtime/types.ts';
import type { CountsReader, CountsReading, CountsSource } from '../counts/reader.ts';

export interface LoadInput {
  readonly key: ObjectKey;
  /** The routers that run. */
  readonly routers: readonly CountsSource[];
  /** Whether requests to a revision are users' own: copies of a mirror are not. */
  readonly counts: (revision: string) => boolean;
  readonly nowMs: number;
  /** Aborts when this process stops. */
  readonly signal: AbortSignal;
}

interface Entry {
  history: LoadHistory;
  /** When the last reading began. */
  readAtMs: number | undefined;
  isReading: boolean;
}

/** How soon it is looked whether routers have told: they do at once, or not at all within the reader's 2 s. */
const ANSWER_MS = 1_000;

/** Requests in flight of the ModelDeployments whose autoscalers go by them, as this process knows them. */
export class LoadBook {
  readonly #entries = new Map<ObjectKey, Entry>();
  readonly #reader: CountsReader;

  constructor(reader: CountsReader) {
    this.#reader = reader;
  }

  /**
   * Pods that requests in flight take at least, by what was read so far.
   * @param perPod requests that one pod is to have at a time
   * @param running pods that there are, from which this starts where the process knows nothing yet
   */
  podsFor(key: ObjectKey, perPod: number, running: number, nowMs: number): number {
    return podsForLoad(this.#entryOf(key, running, nowMs).history, perPod);
  }

  /**
   * Reads where that is due, for the next `podsFor`. Waits for nobody.
   * @returns when to call again
   */
  advance(input: LoadInput): number {
    const { key, nowMs } = input;
    const entry = this.#entryOf(key, 0, nowMs);
    if (entry.isReading) return nowMs + ANSWER_MS;
    const dueAtMs = entry.readAtMs === undefined ? nowMs : entry.readAtMs + LOAD_INTERVAL_MS;
    // None is ever due later than in an interval, but where the clock was set back.
    if (nowMs < dueAtMs && dueAtMs <= nowMs + LOAD_INTERVAL_MS) return dueAtMs;
    entry.readAtMs = nowMs;
    void this.#read(entry, input);
    return nowMs + ANSWER_MS;
  }

  forget(key: ObjectKey): void {
    this.#entries.delete(key);
  }

  async #read(entry: Entry, { key, routers, counts, nowMs, signal }: LoadInput): Promise<void> {
    entry.isReading = true;
    const readings = await this.#reader.read(routers, signal);
    entry.history = observeLoad(entry.history, loadOf(readings, parseKey(key).name, counts, nowMs));
    entry.isReading = false;
  }

  #entryOf(key: ObjectKey, running: number, nowMs: number): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const begun: Entry = { history: beginLoad(running, nowMs), readAtMs: undefined, isReading: false };
    this.#entries.set(key, begun);
    return begun;
  }
}

/** What routers have in flight for a ModelDeployment. A router that does not tell leaves the number a part of the whole. */
export function loadOf(
  readings: readonly CountsReading[],
  modelDeployment: string,
  counts: (revision: string) => boolean,
  atMs: number,
): LoadReading {
  const told = readings.map((reading) =>
    'snapshot' in reading ? loadIn(reading.snapshot, modelDeployment) : undefined,
  );
  const inFlight = told
    .flatMap((byRevision) => Object.entries(byRevision ?? {}))
    .reduce((sum, [revision, count]) => (counts(revision) ? sum + count : sum), 0);
  return { atMs, inFlight, isWhole: told.length > 0 && !told.includes(undefined) };
}

/** Undefined where the router is of a version that does not tell. One that has no route yet has no request. */
function loadIn({ load }: CountsSnapshot, modelDeployment: string): Readonly<Record<string, number>> | undefined {
  return load && (load[modelDeployment] ?? {});
}
