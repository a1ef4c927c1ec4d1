import type { BufferedSurroundings } from '../buffered/buffered-exchange.ts';
import type { RequestRouter } from '../types.ts';

/** How long a client may take, in milliseconds. */
export interface ClientTimes {
  /** From the first byte of a head to its last. */
  readonly headMs: number;
  /** Between two requests. */
  readonly idleMs: number;
  /** While an answer goes out and nothing moves: the client does not read, or the server does not write. */
  readonly silenceMs: number;
  /** After a last answer: what still comes is thrown away, so that a reset does not overtake the answer. */
  readonly lingerMs: number;
}

export interface RelaySurroundings extends BufferedSurroundings {
  readonly router: RequestRouter;
  readonly times: ClientTimes;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Connections end with the answer that they wait for. */
  isDraining: boolean;
}
