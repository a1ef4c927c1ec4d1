import { LoadFailure } from './models/failure.ts';

/** The kubelet keeps 4096 bytes, and cuts what is longer anywhere; one is left for the end of the line. */
const MAX_BYTES = 4_095;
/** Bytes of JSON that one UTF-16 unit takes at most: `\u0000`. */
const MAX_UNIT_BYTES = 6;

/** What a failed load tells the operator by way of the kubelet: always one JSON object, its message cut where it is too long. */
export function terminationMessage(error: unknown): {
  readonly reason: string;
  readonly message: string;
  readonly json: string;
} {
  const reason = error instanceof LoadFailure ? error.reason : 'LoadFailed';
  let message = (error instanceof Error ? error.message : String(error)).slice(0, MAX_BYTES).toWellFormed();
  for (;;) {
    const json = JSON.stringify({ reason, message });
    const excess = Buffer.byteLength(json) - MAX_BYTES;
    if (excess <= 0) return { reason, message, json };
    message = message.slice(0, -Math.ceil(excess / MAX_UNIT_BYTES)).toWellFormed();
  }
}
