import type { OutgoingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Choice, RouterClock, Target, Unroutable } from '../types.ts';
import type { GrpcUpstreams } from './grpc-upstreams.ts';

/** A client's stream, as far as a call uses it. */
export interface ClientStream extends Duplex {
  readonly headersSent: boolean;
  respond(
    headers: OutgoingHttpHeaders,
    options: { readonly endStream?: boolean; readonly waitForTrailers?: boolean },
  ): void;
  /** Answers the event `wantTrailers`. */
  sendTrailers(trailers: OutgoingHttpHeaders): void;
  close(code: number): void;
}

/** Hears what passes on a call, and changes nothing of it. */
export interface CallListener {
  requestData(chunk: Buffer): void;
  requestWhole(): void;
  answerData(chunk: Buffer): void;
  /** The call is over. `status` is that of a pod's whole answer; undefined where there was none. */
  over(status: number | undefined): void;
}

export interface CallSurroundings {
  readonly clock: RouterClock;
  readonly upstreams: GrpcUpstreams;
  readonly listener?: CallListener | undefined;
  /** Where the call goes whose target has lost its last endpoint; undefined where that target alone may answer. */
  readonly chooseAgain?: ((lost: Target) => Choice | Unroutable) | undefined;
  /** The call is over, however it ended. */
  readonly onEnd?: (() => void) | undefined;
}
