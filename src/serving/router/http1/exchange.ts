import type { Choice, OtherTarget, RequestOutcome, RouterClock, Target, Unroutable } from '../types.ts';
import type { HttpError } from './http-error.ts';
import type { OutBuffer } from './out-buffer.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';
import type { HttpUpstreams } from './upstreams.ts';

/** What all calls of a relay share. */
export interface CallSurroundings {
  readonly clock: RouterClock;
  readonly upstreams: HttpUpstreams;
  readonly head: RequestHead;
  readonly out: OutBuffer;
}

/** Whose call it is. */
export interface CallOwner {
  interim(head: ResponseHead): void;
  /** As `AnswerReceiver`; with `isLast`, it is still to be written out, and `over` follows. */
  answered(head: ResponseHead | undefined, bytes: Buffer, start: number, end: number, isLast: boolean): void;
  flush(): boolean;
  /** The answer is whole, and the call can be used again. */
  over(): void;
  /** There is no answer. */
  failed(error: HttpError): void;
  /** The answer broke off in the middle. */
  brokenOff(reason: string): void;
  /** More of the request's body is taken again. */
  drained(): void;
  /**
   * Where the request goes whose target has lost its last endpoint, by the head that the surroundings hold; undefined
   * where that target alone may answer.
   */
  chooseAgain(lost: Target): Choice | Unroutable | undefined;
  /** A target's part in the request is over: told once for each target that it was sent to, or failed to be. */
  ended(target: Target, outcome: RequestOutcome, seconds: number): void;
}

/** What a request waits for. */
export type Hold = 'endpoint' | 'connection' | 'answer';

/**
 * Why a request is given up. `cancelled`: the client did. `late`: there is no answer in time, for which its endpoint is to
 * blame; `hurried`: in the client's own time, which is less than the route gives: an error, but not the endpoint's.
 * `withdrawn`: an answer would be of no use any more.
 */
export type CancelReason = 'cancelled' | 'late' | 'hurried' | 'withdrawn';

/** A request's way to its answer, as the client's connection sees it. */
export interface Exchange {
  /** The target that has the request now. */
  readonly target: Target | undefined;
  readonly hold: Hold;
  /** The next piece of the body. `flushRequest` follows. @throws HttpError where it cannot be taken. */
  body(bytes: Buffer, start: number, end: number): void;
  /** The body is whole. `flushRequest` follows. */
  complete(): void;
  /** Writes what was given. False when no more of the body is taken until `drained`. */
  flushRequest(): boolean;
  /** The answer, if there is one, is taken again. */
  resume(): void;
  /** Gives the request up. */
  cancel(why: CancelReason): void;
}

/** Where a request may go. */
export interface AskedTarget extends OtherTarget {
  readonly elsewhere: readonly Target[];
}

/** Bytes of a request that is sent: its head, and where it may go. */
export interface CallRequest extends AskedTarget {
  /** Holds the head from `start`, as `RequestHead` reads it again where it has to be sent again. */
  readonly bytes: Buffer;
  readonly start: number;
  /** Header lines that this hop adds, up to the value of TIMEOUT_HEADER. */
  readonly lines: string;
  /** When the head was whole, and when the answer has to begin. */
  readonly startedAtMs: number;
  readonly deadlineMs: number;
}
