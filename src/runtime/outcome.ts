import { ApiError } from './api-error.ts';

/** What a reconcile that went well asks for: nothing until something changes, or another look after a time. */
export type Result = { readonly requeueAfterMs?: number };

export const DONE: Result = Object.freeze({});

export function requeueAfter(ms: number): Result {
  return { requeueAfterMs: ms };
}

/** Only a change can help: the user is told and nothing is retried. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

/** Something outside is not there yet; it is looked at again after `retryAfterMs`, without back-off. */
export class WaitingError extends Error {
  override readonly name = 'WaitingError';
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number, options?: ErrorOptions) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * A part of the work failed, by `cause`, which is dealt with as if it had been thrown itself. The rest goes on: the object
 * is looked at again within `withinMs`, however long the failure would have it back off.
 */
export class PartialFailureError extends Error {
  override readonly name = 'PartialFailureError';
  readonly withinMs: number;

  constructor(cause: unknown, withinMs: number) {
    super(describeError(cause), { cause });
    this.withinMs = withinMs;
    // Logs show where it failed, which is not here.
    if (cause instanceof Error && cause.stack !== undefined) this.stack = cause.stack;
  }
}

/** Work was cut short because this process stops or is no longer the leader; whoever leads next does it. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError';
}

export type Outcome =
  | { readonly kind: 'returned'; readonly result: Result }
  | { readonly kind: 'threw'; readonly error: unknown };

/** How `controller_runtime_reconcile_total` names what came of a reconcile. */
export type ReconcileResult = 'success' | 'requeue' | 'requeue_after' | 'error';

/** What follows from an outcome. `requeue` absent: the object is looked at again only when something changes. */
export interface Decision {
  readonly metric: ReconcileResult;
  readonly requeue?: { readonly afterMs: number } | 'rate-limited';
  /** What is rate-limited waits no longer than this. */
  readonly withinMs?: number;
  /** Whether earlier failures are forgotten, so that the next one backs off from the start. */
  readonly forgetFailures: boolean;
  readonly log?: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly message: string;
    /** Told at this level one time for the object, and at `debug` from then on. */
    readonly once?: boolean;
  };
  readonly terminal: boolean;
}

/** The one place where what a reconcile came to turns into a requeue, a metric and a line in the log. */
export function decide(outcome: Outcome): Decision {
  if (outcome.kind === 'returned') {
    const afterMs = outcome.result.requeueAfterMs;
    return afterMs === undefined
      ? { metric: 'success', forgetFailures: true, terminal: false }
      : { metric: 'requeue_after', requeue: { afterMs }, forgetFailures: true, terminal: false };
  }
  const { error } = outcome;
  const message = describeError(error);
  if (error instanceof PartialFailureError) {
    return { ...decide({ kind: 'threw', error: error.cause }), withinMs: error.withinMs };
  }
  if (error instanceof TerminalError) {
    return { metric: 'error', forgetFailures: true, log: { level: 'warn', message }, terminal: true };
  }
  if (error instanceof WaitingError) {
    return {
      metric: 'requeue_after',
      requeue: { afterMs: error.retryAfterMs },
      forgetFailures: true,
      log: { level: 'info', message },
      terminal: false,
    };
  }
  if (error instanceof StoppedError) {
    return { metric: 'requeue', forgetFailures: false, log: { level: 'debug', message }, terminal: false };
  }
  if (error instanceof ApiError && error.isConflict) {
    // The world moved between reading and writing. That is ordinary, and the next look sees it as it is.
    return {
      metric: 'requeue',
      requeue: 'rate-limited',
      forgetFailures: false,
      log: { level: 'debug', message },
      terminal: false,
    };
  }
  if (error instanceof ApiError && error.isNamespaceTerminating) {
    // The object goes with its namespace, which cannot be kept any more; until then nothing can be made for it.
    return {
      metric: 'success',
      forgetFailures: true,
      log: { level: 'info', message: `its namespace is being deleted: ${message}`, once: true },
      terminal: false,
    };
  }
  if (error instanceof ApiError && error.retryAfterMs !== undefined) {
    return {
      metric: 'error',
      requeue: { afterMs: error.retryAfterMs },
      forgetFailures: false,
      log: { level: 'warn', message },
      terminal: false,
    };
  }
  return {
    metric: 'error',
    requeue: 'rate-limited',
    forgetFailures: false,
    log: { level: 'error', message },
    terminal: false,
  };
}

/** What was thrown, which need not be an Error, as text. */
export function describeError(error: unknown): string {
  if (error instanceof Error) return error.message === '' ? error.name : error.message;
  if (typeof error === 'string') return error;
  try {
    return `thrown value ${JSON.stringify(error) ?? String(error)}`;
  } catch {
    return `thrown value of type ${typeof error}`;
  }
}
