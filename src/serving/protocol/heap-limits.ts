import { getHeapStatistics } from 'node:v8';

/**
 * What a request may make of the JavaScript heap, whose overflow ends the process and with it everyone's requests.
 * Numbers lie outside of it; JSON and strings do not, and take many times their bytes. Each limit is the share that is
 * left when the worst text there is has been counted, and at most what is quick enough for one turn of the event loop.
 */
const { heap_size_limit: limitBytes } = getHeapStatistics();
/** V8 counts room for young objects into its limit, 192 MiB or, where memory is small, up to two thirds. */
const heapBytes = Math.max(limitBytes / 3, limitBytes - 192 * 2 ** 20);

/** A byte of `{},{},…` takes 22 bytes of heap. */
export const MAX_JSON_BYTES = Math.min(16 * 2 ** 20, Math.floor(heapBytes / 44));

/** With the source text of each number it takes up to 150, and a hundred times as long. */
export const MAX_EXACT_JSON_BYTES = Math.min(2 * 2 ** 20, Math.floor(heapBytes / 300));

/** A view of a string takes up to 200 bytes, however short the string. */
export const MAX_STRINGS = Math.min(2 ** 20, Math.floor(heapBytes / 800));

/** Values in gRPC's typed fields: one of a byte becomes eight, outside the heap. */
export const MAX_CONTENTS_BYTES = 16 * 2 ** 20;

/** Answers that all models' caches keep together, whose small values lie on the heap. */
export const MAX_CACHE_BYTES = Math.min(256 * 2 ** 20, Math.floor(heapBytes / 4));
