import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';

/** The codes of gRPC that a relay gives or judges by. */
export const GRPC_STATUS = {
  ok: 0,
  unknown: 2,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
} as const;

const ERRORS: ReadonlySet<number> = new Set([
  GRPC_STATUS.unknown,
  GRPC_STATUS.deadlineExceeded,
  GRPC_STATUS.resourceExhausted,
  GRPC_STATUS.internal,
  GRPC_STATUS.unavailable,
  GRPC_STATUS.dataLoss,
]);

/** Whether a status counts as an error of the server, not of the client's request. */
export function isServerFailure(status: number): boolean {
  return ERRORS.has(status);
}

/** The status that headers or trailers carry; `unknown` where they carry none, as gRPC has it. */
export function statusOf(headers: IncomingHttpHeaders): number {
  const text = headers['grpc-status'];
  return typeof text === 'string' && /^[0-9]{1,3}$/.test(text) ? Number(text) : GRPC_STATUS.unknown;
}

/** Trailers that end a call. The message is percent-encoded as the protocol asks. */
export function statusTrailers(status: number, message: string): OutgoingHttpHeaders {
  return { 'grpc-status': String(status), 'grpc-message': percentEncoded(message) };
}

/** A whole answer that is nothing but a status. */
export function trailersOnly(status: number, message: string): OutgoingHttpHeaders {
  return { ':status': 200, 'content-type': 'application/grpc', ...statusTrailers(status, message) };
}

function percentEncoded(message: string): string {
  let encoded = '';
  for (const byte of Buffer.from(message)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
