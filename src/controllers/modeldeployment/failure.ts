/** What an error of a phase means for the user, if it means anything to them. */
import { ApiError } from '../../runtime/api-error.ts';
import { OwnershipError } from '../../runtime/apply.ts';
import { describeError, StoppedError, WaitingError } from '../../runtime/outcome.ts';
import type { Refusal } from './acceptance.ts';
import type { Diagnosis } from './diagnose.ts';

export type Meaning =
  /** The spec, or the name, cannot be acted on; looked at again, since another object may be what is in the way. */
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly retryAfterMs: number }
  /** Told in status, and tried again after `retryAfterMs`; with back-off, as an error of ours, where that is undefined. */
  | { readonly kind: 'problem'; readonly problem: Diagnosis; readonly retryAfterMs: number | undefined }
  /** Nothing that a user should see: the reconcile is repeated, or its process or namespace ends. */
  | { readonly kind: 'silent' };

const RETRY_MS = 30_000;

export function meaningOf(error: unknown): Meaning {
  if (error instanceof OwnershipError) {
    return { kind: 'refused', refusal: { reason: 'NameConflict', message: error.message }, retryAfterMs: RETRY_MS };
  }
  if (error instanceof StoppedError) return { kind: 'silent' };
  if (error instanceof WaitingError) {
    const { message, retryAfterMs } = error;
    return { kind: 'problem', problem: { kind: 'waiting', reason: 'WaitingForDeletion', message }, retryAfterMs };
  }
  if (error instanceof ApiError) return meaningOfAnswer(error);
  return unexplained(error);
}

function meaningOfAnswer(error: ApiError): Meaning {
  if (error.isConflict || error.isNamespaceTerminating) return { kind: 'silent' };
  const answer = answerIn(error);
  // A policy may deny as Forbidden or as Invalid, a webhook with any code: only the words tell.
  if (/\bdenied (the )?request\b/.test(answer)) {
    return { kind: 'problem', problem: failed('AdmissionDenied', answer), retryAfterMs: RETRY_MS };
  }
  if (error.isInvalid) {
    return { kind: 'refused', refusal: { reason: 'InvalidSpec', message: invalidity(error) }, retryAfterMs: RETRY_MS };
  }
  if (error.isForbidden && answer.includes('exceeded quota')) {
    const message = `${answer.slice(answer.indexOf('exceeded quota'))}: raise the ResourceQuota`;
    return {
      kind: 'problem',
      problem: { kind: 'capacity', reason: 'QuotaExceeded', message },
      retryAfterMs: RETRY_MS,
    };
  }
  if (error.isForbidden) return { kind: 'problem', problem: failed('Forbidden', answer), retryAfterMs: undefined };
  return unexplained(error);
}

function failed(reason: 'AdmissionDenied' | 'Forbidden', message: string): Diagnosis {
  return { kind: 'failed', reason, message };
}

function unexplained(error: unknown): Meaning {
  const problem: Diagnosis = { kind: 'waiting', reason: 'ReconcileError', message: describeError(error) };
  return { kind: 'problem', problem, retryAfterMs: undefined };
}

/** What the API server said, without the request that it was said about. */
function answerIn({ message, status, reason }: ApiError): string {
  const prefix = `: ${status} ${reason}: `;
  const at = message.indexOf(prefix);
  return at < 0 ? message : message.slice(at + prefix.length);
}

/** The fields that Kubernetes refuses, as it names them. */
function invalidity(error: ApiError): string {
  const causes = error.causes.map(({ field, message }) => `${field ?? ''}: ${message ?? ''}`);
  return causes.length === 0 ? error.message : `Kubernetes refuses the pods of this spec: ${causes.join('; ')}`;
}
