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

/** A view of a string takes up to so much, however short the string. */
export const STRING_HEAP_BYTES = 200;
export const MAX_STRINGS = Math.min(2 ** 20, Math.floor(heapBytes / 4 / STRING_HEAP_BYTES));

/** Strings of all requests that wait for their answers: two of the largest. */
export const MAX_WAITING_STRING_BYTES = 2 * MAX_STRINGS * STRING_HEAP_BYTES;

/**
 * Values in gRPC's typed fields: one of a byte becomes eight, in the question and in the answer. They lie outside of the
 * heap, in what is about the other half of a pod's memory.
 */
export const MAX_CONTENTS_BYTES = Math.min(16 * 2 ** 20, Math.floor(heapBytes / 16));

/** An answer in JSON lies there twice while it is written: in pieces, and as one. Two of the longest fit into the memory for bodies. */
export const MAX_JSON_ANSWER_CHARS = Math.min(128 * 2 ** 20, Math.floor(heapBytes / 4));

/** 64-bit integers of an answer in gRPC's typed fields: while it is written, each is an object that takes up to 80 bytes with its list. */
export const MAX_TYPED_LONGS = Math.min(2 ** 22, Math.floor(heapBytes / 160));

/** Answers that all models' caches keep together, whose small values lie on the heap. */
export const MAX_CACHE_BYTES = Math.min(256 * 2 ** 20, Math.floor(heapBytes / 4));
