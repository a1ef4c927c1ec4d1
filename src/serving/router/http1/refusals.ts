import type { Target } from '../types.ts';
import type { Exchange } from './exchange.ts';
import { HttpError } from './http-error.ts';

/** What the router answers a request that had no answer in time. */
export function lateAnswer({ target, hold }: Exchange, timeoutMs: number): HttpError {
  const { revision = '', pool } = target ?? {};
  if (hold === 'answer') return new HttpError(504, `${revision} did not answer within ${timeoutMs} ms`);
  if (hold === 'connection') return new HttpError(503, `no connection to ${revision} within ${timeoutMs} ms`, 1);
  return new HttpError(
    503,
    `none of the ${pool?.size} endpoints of ${revision} had room within ${timeoutMs} ms: ${pool?.inFlight} requests are in flight, ${pool?.waiting} wait`,
    1,
  );
}

export function noPod({ revision }: Target): HttpError {
  return new HttpError(503, `revision ${revision} has no ready pod`, 1);
}

/** An ensemble was asked for what its members' answers cannot become. */
export function notCombined(path: string): HttpError {
  const asked = path.length > 100 ? `${path.slice(0, 100)}...` : path;
  return new HttpError(
    501,
    `an ensemble answers POST /v2/models/MODEL/infer only, not ${asked}: ask for tensors, or one of its members by its own name`,
  );
}

export function tooLarge(size: string, maxBytes: number): HttpError {
  return new HttpError(413, `the body has ${size} bytes; at most ${maxBytes} are taken`);
}

export function tooManyWait({ revision, pool }: Target): HttpError {
  return new HttpError(
    429,
    `${pool.waiting} requests wait for the ${pool.size} endpoints of ${revision}, as many as may; ${pool.inFlight} are in flight`,
    1,
  );
}
