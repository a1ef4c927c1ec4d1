/** What went wrong with one request, in terms that both HTTP and gRPC can say. */
export type InferenceErrorCode =
  | 'InvalidArgument'
  | 'NotFound'
  | 'MethodNotAllowed'
  | 'UnsupportedMediaType'
  | 'TooLarge'
  | 'QueueFull'
  | 'Unavailable'
  | 'Cancelled'
  | 'ModelFailed';

/**
 * gRPC sends messages in trailers, where a character takes up to nine bytes and clients take 8 KiB or 16 KiB: a longer
 * one would cost the client its answer, and some their connection.
 */
const MAX_MESSAGE_CHARS = 800;
/** Dimensions of a shape that a message shows. */
const MAX_DIMENSIONS = 8;

/** A request that gets no prediction; `message` names the field and the numbers, is shown to the client and cut when it is long. */
export class InferenceError extends Error {
  readonly code: InferenceErrorCode;

  constructor(code: InferenceErrorCode, message: string, options?: ErrorOptions) {
    super(
      message.length > MAX_MESSAGE_CHARS ? `${message.slice(0, MAX_MESSAGE_CHARS).toWellFormed()}…` : message,
      options,
    );
    this.name = 'InferenceError';
    this.code = code;
  }
}

/** Shorthand for the most frequent case: the client has to change the request. */
export function invalid(message: string): InferenceError {
  return new InferenceError('InvalidArgument', message);
}

/** A client's text as it may stand in a message: quoted, and short however long it is. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

/** A shape as it may stand in a message: in brackets, and short however many dimensions it has. */
export function shown(shape: readonly number[]): string {
  return shape.length > MAX_DIMENSIONS
    ? `[${shape.slice(0, MAX_DIMENSIONS).join(', ')}, … (${shape.length} dimensions)]`
    : `[${shape.join(', ')}]`;
}

/** The error to answer with; anything unexpected is the model's or the server's failure, never the client's. */
export function toInferenceError(cause: unknown): InferenceError {
  if (cause instanceof InferenceError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new InferenceError('ModelFailed', `the model failed: ${message}`, { cause });
}
