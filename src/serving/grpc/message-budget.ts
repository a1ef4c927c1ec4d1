import type { ServerHttp2Stream } from 'node:http2';
import { type ServerInterceptingCall, type ServerInterceptor, type ServerUnaryCall, status } from '@grpc/grpc-js';
import { InferenceError } from '../inference-error.ts';
import type { MemoryBudget } from '../memory-budget.ts';

/** Bytes of a call that do not count: HTTP/2 lets a client send them unasked, and usual messages are no longer. */
export const FREE_BYTES = 65_536;
/** A long message is held in the pieces that it came in, and as one. */
const COPIES = 2;
/** What a piece takes at least: grpc-js keeps each one as an object of its own, however short (measured: 116). */
const PIECE_BYTES = 128;
/** What stands before a message: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;

interface Problem {
  readonly code: status;
  readonly details: string;
}

const COMPRESSED: Problem = {
  code: status.UNIMPLEMENTED,
  details: 'compressed messages are not taken; send them as they are',
};
const late = (ms: number): Problem => ({
  code: status.DEADLINE_EXCEEDED,
  details: `the message did not arrive within ${ms} ms`,
});

export interface MessageBudgetOptions {
  /** Memory that the messages of all connections together may take. */
  readonly budget: MemoryBudget;
  /** How long a message that comes in several pieces may take to arrive. */
  readonly maxReceiveMs: number;
}

/**
 * Bounds the memory that calls take before a handler sees them, and while it works. A call beyond the budget gets
 * RESOURCE_EXHAUSTED and is reset. A compressed message gets UNIMPLEMENTED: its size is not known before memory is taken.
 */
export function messageBudget({ budget, maxReceiveMs }: MessageBudgetOptions): ServerInterceptor {
  return (_method, call) => {
    const { stream } = call as unknown as StreamKeeper;
    let receivedBytes = 0;
    let chargedBytes = 0;
    let timer: NodeJS.Timeout | undefined;
    const refuse = (problem: Problem): void => {
      stream.off('data', receive);
      call.sendStatus(problem);
      // What the client still sends would be kept with what came already.
      stream.close();
    };
    const charge = (piece: Buffer): Problem | undefined => {
      // The usual call, whole in one piece, gets no timer: nothing of it is waited for but its end.
      if (receivedBytes > 0 || !isWhole(piece)) {
        timer ??= setTimeout(() => refuse(late(maxReceiveMs)), maxReceiveMs);
      }
      const pieceBytes = Math.max(piece.length, PIECE_BYTES);
      receivedBytes += pieceBytes;
      if (receivedBytes <= FREE_BYTES) return undefined;
      const bytes = COPIES * (chargedBytes === 0 ? receivedBytes : pieceBytes);
      try {
        budget.take(bytes);
      } catch (error) {
        if (!(error instanceof InferenceError)) throw error;
        return { code: status.RESOURCE_EXHAUSTED, details: error.message };
      }
      chargedBytes += bytes;
      return undefined;
    };
    const receive = (piece: Buffer): void => {
      const isCompressed = receivedBytes === 0 && piece[0] !== 0;
      const problem = isCompressed ? COMPRESSED : charge(piece);
      if (problem !== undefined) refuse(problem);
    };
    // Before grpc-js, so that it takes no piece that is refused.
    stream.prependListener('data', receive);
    stream.once('end', () => clearTimeout(timer));
    stream.once('close', () => {
      clearTimeout(timer);
      budget.release(chargedBytes);
    });
    return call as ServerInterceptingCall;
  };
}

/** grpc-js tells interceptors and handlers of whole messages only. Its own call keeps the stream, under this name. */
interface StreamKeeper {
  readonly stream: ServerHttp2Stream;
}

/** About what a message of so many bytes has been charged, whatever pieces it came in. */
export const chargeOf = (bytes: number): number => (bytes > FREE_BYTES ? COPIES * bytes : 0);

/**
 * Charges an answer of so many bytes until its call's stream is over: a client may leave it unread for long.
 * @param ownBytes what its request has been charged
 * @throws InferenceError QueueFull when that much is not left.
 */
export function chargeAnswer(
  budget: MemoryBudget,
  call: ServerUnaryCall<Buffer, Buffer>,
  bytes: number,
  ownBytes: number,
): void {
  const { stream } = (call as unknown as { readonly call: StreamKeeper }).call;
  // The client has gone meanwhile; nothing is sent.
  if (stream.destroyed || stream.closed) return;
  budget.takeForAnswer(bytes, ownBytes);
  stream.once('close', () => budget.release(bytes));
}

/** Whether a call's first piece is all of its message. */
function isWhole(piece: Buffer): boolean {
  return piece.length >= PREFIX_BYTES && piece.length === PREFIX_BYTES + piece.readUInt32BE(1);
}
