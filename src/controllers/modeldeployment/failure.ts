/** What an error of a phase means for the user, if it means anything to them. */
import { ApiError } from '../../runtime/api-error.ts';
import { OwnershipError } from '../../runtime/apply.ts';
import { describeError, StoppedError, WaitingError } from '../../runtime/outcome.ts';
import type { Refusal } from './acceptance.ts';
import type { Diagnosis } from './diagnose.ts';

export type Meaning =
  /** The spec, or the name, cannot be acted on; looked at again, since another object may be what is in the way. */
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly retryAfterMs: number }
  | { readonly kind: 'no-room'; readonly diagnosis: Diagnosis; readonly retryAfterMs: number }
  /** Told in status and tried again with back-off. */
  | { readonly kind: 'problem'; readonly message: string }
  /** Nothing that a user should see: the reconcile is repeated, or its process or namespace ends. */
  | { readonly kind: 'silent' };

const RETRY_MS = 30_000;

export function meaningOf(error: unknown): Meaning {
  if (error instanceof OwnershipError) {
    return { kind: 'refused', refusal: { reason: 'NameConflict', message: error.message }, retryAfterMs: RETRY_MS };
  }
  if (error instanceof StoppedError || error instanceof WaitingError) return { kind: 'silent' };
  if (error instanceof ApiError) {
    if (error.isConflict || error.causes.some(({ reason }) => reason === 'NamespaceTerminating'))
      return { kind: 'silent' };
    if (error.isInvalid) {
      return {
        kind: 'refused',
        refusal: { reason: 'InvalidSpec', message: invalidity(error) },
        retryAfterMs: RETRY_MS,
      };
    }
    if (error.isForbidden && error.message.includes('exceeded quota')) {
      const message = error.message.slice(error.message.indexOf('exceeded quota'));
      return {
        kind: 'no-room',
        diagnosis: { kind: 'capacity', reason: 'QuotaExceeded', message: `${message}: raise the ResourceQuota` },
        retryAfterMs: RETRY_MS,
      };
    }
  }
  return { kind: 'problem', message: describeError(error) };
}

/** The fields that Kubernetes refuses, as it names them. */
function invalidity(error: ApiError): string {
  const causes = error.causes.map(({ field, message }) => `${field ?? ''}: ${message ?? ''}`);
  return causes.length === 0 ? error.message : `Kubernetes refuses the pods of this spec: ${causes.join('; ')}`;
}
