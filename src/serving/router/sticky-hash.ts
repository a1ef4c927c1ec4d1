/** Units are spread over so many buckets; one percent of weight is a hundred of them. */
export const BUCKETS = 10_000;

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

/** FNV-1a of 32 bits over UTF-16 code units, going on from `state`. */
function fnv1a32(text: string, state: number): number {
  let hash = state;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), PRIME);
  return hash >>> 0;
}

/**
 * The bucket of a unit, 0 to 9999: the same in every process, for ever. GrowthBook's hash of version 2, so that its SDKs
 * agree: `fnv1a32(str(fnv1a32(seed + unit))) % 10000`. The seed keeps the splits of different targets independent.
 */
export class StickyHash {
  readonly #seedState: number;

  constructor(seed: string) {
    this.#seedState = fnv1a32(seed, OFFSET_BASIS);
  }

  bucket(unit: string): number {
    return fnv1a32(String(fnv1a32(unit, this.#seedState)), OFFSET_BASIS) % BUCKETS;
  }
}
