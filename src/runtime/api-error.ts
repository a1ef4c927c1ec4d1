/** The API server's `Status` object, as far as it is read. */
export interface StatusBody {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: {
    readonly name?: string;
    readonly kind?: string;
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
  };
}

/** The API server answered, and the answer is a refusal. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  /** `NotFound`, `Conflict`, `Invalid`, `Forbidden` ...: the machine-readable reason, or `Unknown`. */
  readonly reason: string;
  readonly causes: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
  /** When the server says how long to wait before asking again. */
  readonly retryAfterMs: number | undefined;

  constructor(request: string, status: number, body: StatusBody, retryAfterMs?: number) {
    super(`${request}: ${status} ${body.reason ?? 'Unknown'}: ${body.message ?? 'no message'}`);
    this.status = status;
    this.reason = body.reason ?? 'Unknown';
    this.causes = body.details?.causes ?? [];
    const seconds = body.details?.retryAfterSeconds;
    this.retryAfterMs = retryAfterMs ?? (seconds === undefined || seconds === 0 ? undefined : seconds * 1000);
  }

  get isNotFound(): boolean {
    return this.status === 404;
  }

  /** The object changed since it was read, or a precondition such as its uid does not hold. */
  get isConflict(): boolean {
    return this.status === 409 && this.reason !== 'AlreadyExists';
  }

  get isAlreadyExists(): boolean {
    return this.reason === 'AlreadyExists';
  }

  /** The resource version or the continue token is too old to go on from. */
  get isExpired(): boolean {
    return this.status === 410;
  }

  get isForbidden(): boolean {
    return this.status === 403;
  }

  /** Nothing can be made in the namespace any more: it is being deleted, with all that is in it. */
  get isNamespaceTerminating(): boolean {
    return this.isForbidden && this.causes.some(({ reason }) => reason === 'NamespaceTerminating');
  }

  /** The object breaks its schema, a CEL rule or another validation; `causes` names the fields. */
  get isInvalid(): boolean {
    return this.status === 422;
  }
}

/** No answer came: the API server is down, unreachable, or the connection broke or went silent. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';

  constructor(request: string, cause: unknown) {
    super(`${request}: ${causeText(cause)}`, { cause });
  }
}

function causeText(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause instanceof AggregateError && cause.errors.length > 0) return cause.errors.map(causeText).join('; ');
  return cause.message === '' ? cause.name : cause.message;
}
