import { InferenceError, type InferenceErrorCode, invalid } from '../inference-error.ts';

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

/** What is wrong with a request that Node's parser gave up, as it tells by the error's code; 400 where it names no other. */
export function unreadableRequest({ code, message }: NodeJS.ErrnoException): {
  readonly status: number;
  readonly error: InferenceError;
} {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, error: new InferenceError('TooLarge', 'the headers have more than 16 KiB') };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, error: new InferenceError('TooLarge', 'the chunk extensions have more than 16 KiB') };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, error: invalid('the request did not come in time') };
    default:
      return { status: 400, error: invalid(`the request cannot be read: ${message}`) };
  }
}
