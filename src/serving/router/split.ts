import type { Route } from '../../api/route.ts';
import { BUCKETS, StickyHash } from './sticky-hash.ts';
import type { RequestFields } from './types.ts';
import { type UnitReader, unitReader } from './unit.ts';

/** A revision that requests may be sent to. */
export interface Candidate {
  readonly revision: string;
  /** It has an endpoint that may be sent to now. */
  readonly isReady: boolean;
}

interface Share<C extends Candidate> {
  readonly candidate: C;
  /** Buckets that the weight owns: from `first` on, `count` of them. */
  readonly first: number;
  readonly count: number;
}

interface Match<C extends Candidate> {
  readonly header: string;
  readonly value: string;
  readonly candidate: C;
}

export interface SplitOptions {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Told of every request whose revision has no endpoint and that therefore goes elsewhere, or nowhere. */
  readonly onPassedOver: (revision: string) => void;
}

const BUCKETS_A_PERCENT = BUCKETS / 100;

/**
 * Which revision answers a request. In this order: the first header match; the unit's bucket among the weights; chance.
 * No weight reaches a revision without an endpoint: its requests go to the others in proportion to their weights, and
 * those that stick go to the same one as long as it is away. Nobody else moves then.
 */
export class Split<C extends Candidate> {
  readonly #matches: readonly Match<C>[];
  readonly #shares: readonly Share<C>[];
  readonly #sticky: { readonly unitOf: UnitReader; readonly hash: StickyHash } | undefined;
  readonly #options: SplitOptions;

  /** `candidates` has every revision that the route's backends name. @throws RangeError for one that it has not. */
  constructor(
    route: Pick<Route, 'backends' | 'match' | 'sticky'>,
    candidates: ReadonlyMap<string, C>,
    options: SplitOptions,
  ) {
    const known = (revision: string): C => {
      const candidate = candidates.get(revision);
      if (candidate === undefined) throw new RangeError(`the route names revision ${revision}, which is no backend`);
      return candidate;
    };
    this.#options = options;
    this.#matches = (route.match ?? []).map(({ name, value, revision }) => ({
      header: name.toLowerCase(),
      value,
      candidate: known(revision),
    }));
    let first = 0;
    this.#shares = route.backends.map(({ revision, weight }) => {
      const share = { candidate: known(revision), first, count: weight * BUCKETS_A_PERCENT };
      first += share.count;
      return share;
    });
    this.#sticky = route.sticky && {
      unitOf: unitReader(route.sticky.source),
      hash: new StickyHash(route.sticky.seed),
    };
  }

  /**
   * The revision that answers; undefined when none that may answer has an endpoint. With `lost`, for a request that had
   * been given to that revision and is chosen for again: where chance decided, it is drawn again.
   */
  choose(fields: RequestFields, lost?: string): C | undefined {
    let drawn = lost;
    for (const match of this.#matches) {
      if (fields.get(match.header) !== match.value) continue;
      if (match.candidate.isReady) return match.candidate;
      this.#options.onPassedOver(match.candidate.revision);
      if (match.candidate.revision === drawn) drawn = undefined;
    }
    return this.#byWeight(this.#point(fields, drawn));
  }

  /** A number in [0, BUCKETS); where chance decides, within the share of the revision that it had `drawn` before. */
  #point(fields: RequestFields, drawn: string | undefined): number {
    const unit = this.#sticky?.unitOf(fields);
    if (this.#sticky !== undefined && unit !== undefined) return this.#sticky.hash.bucket(unit);
    const place = this.#options.random();
    const share = drawn === undefined ? undefined : this.#shareOf(drawn);
    return share === undefined ? place * BUCKETS : share.first + place * share.count;
  }

  #shareOf(revision: string): Share<C> | undefined {
    return this.#shares.find(({ candidate, count }) => candidate.revision === revision && count > 0);
  }

  #byWeight(point: number): C | undefined {
    for (const { candidate, first, count } of this.#shares) {
      if (point >= first + count) continue;
      if (candidate.isReady) return candidate;
      this.#options.onPassedOver(candidate.revision);
      return this.#elsewhere((point - first) / count);
    }
    return undefined;
  }

  /** The place of a point within the share that was passed over is its place among the shares of those that are ready. */
  #elsewhere(place: number): C | undefined {
    let readyCount = 0;
    for (const { candidate, count } of this.#shares) if (candidate.isReady) readyCount += count;
    let point = place * readyCount;
    for (const { candidate, count } of this.#shares) {
      if (!candidate.isReady) continue;
      if (point < count) return candidate;
      point -= count;
    }
    return undefined;
  }
}
