import type { RecordedReading } from '../../rollout/analysis/record.ts';
import type { Subject } from './replay.ts';

/** What a record has counts of: a name that is not among it was mistyped, or answered nothing. */
export class Told {
  /** Revisions by ModelDeployment. */
  readonly #revisions = new Map<string, Set<string>>();

  add({ routers, servers }: RecordedReading): void {
    for (const told of [...routers, ...servers]) {
      if (!('counts' in told)) continue;
      for (const [name, revisions] of Object.entries(told.counts.revisions)) {
        const known = this.#revisions.get(name) ?? new Set();
        for (const revision of Object.keys(revisions)) known.add(revision);
        this.#revisions.set(name, known);
      }
    }
  }

  /** What is asked for and nobody counted, and what was counted instead; undefined where nothing is missing. */
  missing({ name, canary, stable }: Subject): string | undefined {
    const revisions = this.#revisions.get(name);
    if (revisions === undefined) return `the record has no counts of ${name}; it has ${listed(this.#revisions.keys())}`;
    const absent = [canary, stable].filter((revision) => !revisions.has(revision));
    if (absent.length === 0) return undefined;
    return `the record has no counts of ${absent.join(' and ')}; of ${name} it has ${listed(revisions)}`;
  }
}

const listed = (names: Iterable<string>): string => [...names].sort().join(', ') || 'none';
