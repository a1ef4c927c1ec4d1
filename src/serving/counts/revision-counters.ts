import type { CountsSnapshot } from '../../api/counts.ts';
import { RevisionCounter } from './revision-counter.ts';

/** Revisions of one ModelDeployment that no route names any more and whose counts are still told. */
const MAX_RETIRED = 8;
/** ModelDeployments without a route whose counts are still told. */
const MAX_REMOVED = 32;

/** The counts of every revision that a router sends to, or sent to not long ago: a rollout that ends is judged by them. */
export class RevisionCounters {
  readonly #deployments = new Map<string, Map<string, RevisionCounter>>();
  readonly #removed = new Set<string>();

  /** The counter of a revision: the same one for as long as it is known, so that counts only grow. */
  of(modelDeployment: string, revision: string): RevisionCounter {
    const revisions = this.#deployments.get(modelDeployment) ?? new Map<string, RevisionCounter>();
    this.#deployments.set(modelDeployment, revisions);
    this.#removed.delete(modelDeployment);
    const counter = revisions.get(revision) ?? new RevisionCounter();
    // The order of the map is the order in which routes named them last.
    revisions.delete(revision);
    revisions.set(revision, counter);
    return counter;
  }

  /** The revisions that the route of a ModelDeployment names now; of others only the latest are kept. */
  retain(modelDeployment: string, named: readonly string[]): void {
    const revisions = this.#deployments.get(modelDeployment);
    if (revisions === undefined) return;
    const retired = [...revisions.keys()].filter((revision) => !named.includes(revision));
    for (const revision of retired.slice(0, -MAX_RETIRED)) revisions.delete(revision);
  }

  /** A ModelDeployment has no route any more. */
  removed(modelDeployment: string): void {
    if (!this.#deployments.has(modelDeployment)) return;
    this.#removed.add(modelDeployment);
    const [oldest] = this.#removed;
    if (this.#removed.size <= MAX_REMOVED || oldest === undefined) return;
    this.#removed.delete(oldest);
    this.#deployments.delete(oldest);
  }

  *entries(): Generator<{ modelDeployment: string; revision: string; counter: RevisionCounter }> {
    for (const [modelDeployment, revisions] of this.#deployments) {
      for (const [revision, counter] of revisions) yield { modelDeployment, revision, counter };
    }
  }

  snapshot(): CountsSnapshot['revisions'] {
    return Object.fromEntries(
      [...this.#deployments].map(([modelDeployment, revisions]) => [
        modelDeployment,
        Object.fromEntries([...revisions].map(([revision, counter]) => [revision, counter.snapshot()])),
      ]),
    );
  }
}
