import type { Logger } from 'winston';
import { ANNOTATIONS } from '../../../api/names.ts';
import type { Lease } from '../../../runtime/kubernetes-resources.ts';
import { describeError } from '../../../runtime/outcome.ts';
import type { LastCounts } from './ledger.ts';
import { parseCounts } from './reader.ts';

/**
 * What routers that have stopped counted last, as they left it on their Leases. Each version of a Lease is read once, for
 * all ModelDeployments of the namespace: what is on it may be 200 kB.
 */
export class FinalCounts {
  /** By the object, which the cache replaces when it changes. */
  readonly #known = new WeakMap<Lease, readonly LastCounts[]>();

  of(leases: readonly Lease[], log: Pick<Logger, 'warn'>): readonly LastCounts[] {
    return leases.flatMap((lease) => {
      const known = this.#known.get(lease) ?? finalCountsOn(lease, log);
      this.#known.set(lease, known);
      return known;
    });
  }
}

function finalCountsOn({ metadata }: Lease, log: Pick<Logger, 'warn'>): readonly LastCounts[] {
  const text = metadata.annotations?.[ANNOTATIONS.finalCounts];
  if (text === undefined) return [];
  try {
    return [{ uid: metadata.ownerReferences?.[0]?.uid ?? metadata.name, snapshot: parseCounts(text) }];
  } catch (error) {
    log.warn(`the last counts of router ${metadata.name} cannot be read: ${describeError(error)}`);
    return [];
  }
}
