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

/** A request that gets no prediction; `message` names the field and the numbers and is shown to the client. */
export class InferenceError extends Error {
  readonly code: InferenceErrorCode;

  constructor(code: InferenceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
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

/** The error to answer with; anything unexpected is the model's or the server's failure, never the client's. */
export function toInferenceError(cause: unknown): InferenceError {
  if (cause instanceof InferenceError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new InferenceError('ModelFailed', `the model failed: ${message}`, { cause });
}
