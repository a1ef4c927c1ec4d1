import type { IncomingHttpHeaders } from 'node:http2';

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };
/** The protocol allows eight digits. */
const MAX_COUNT = 99_999_999;

/** Milliseconds that the header `grpc-timeout` allows; undefined without one, or where it cannot be read. */
export function parseGrpcTimeout(text: string | undefined): number | undefined {
  const match = text === undefined ? null : /^([0-9]{1,8})([HMSmun])$/.exec(text);
  const [, count, unit] = match ?? [];
  if (count === undefined || unit === undefined) return undefined;
  return Number(count) * (UNIT_MS[unit] ?? 0);
}

/** The header for so many milliseconds: in the finest unit that has digits enough, rounded up. */
export function formatGrpcTimeout(milliseconds: number): string {
  const left = Math.max(0, milliseconds);
  for (const unit of ['u', 'm', 'S', 'M'] as const) {
    const count = Math.ceil(left / (UNIT_MS[unit] ?? 1));
    if (count <= MAX_COUNT) return `${count}${unit}`;
  }
  return `${Math.min(MAX_COUNT, Math.ceil(left / 3_600_000))}H`;
}

/** When the client of a call that began at `startedMs` wants to hear no more; infinite where it did not say. */
export function deadlineOf(headers: IncomingHttpHeaders, startedMs: number): number {
  const timeout = headers['grpc-timeout'];
  return startedMs + (parseGrpcTimeout(typeof timeout === 'string' ? timeout : undefined) ?? Number.POSITIVE_INFINITY);
}

/** The headers with what is left of the deadline. */
export function withTimeLeft(headers: IncomingHttpHeaders, deadlineMs: number, nowMs: number): IncomingHttpHeaders {
  if (deadlineMs === Number.POSITIVE_INFINITY) return headers;
  return { ...headers, 'grpc-timeout': formatGrpcTimeout(deadlineMs - nowMs) };
}
