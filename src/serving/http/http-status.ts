import type { InferenceError, InferenceErrorCode } from '../inference-error.ts';

/** 499, as nginx says it, is for a client that is no longer there to read it. */
const STATUS: Readonly<Record<InferenceErrorCode, number>> = {
  InvalidArgument: 400,
  NotFound: 404,
  MethodNotAllowed: 405,
  TooLarge: 413,
  UnsupportedMediaType: 415,
  QueueFull: 429,
  Cancelled: 499,
  ModelFailed: 500,
  Unavailable: 503,
};

export function httpStatus(error: InferenceError): number {
  return STATUS[error.code];
}

/** Errors that another try may not meet say when to try. */
export function retryAfterSeconds(error: InferenceError): number | undefined {
  return error.code === 'QueueFull' || error.code === 'Unavailable' ? 1 : undefined;
}
