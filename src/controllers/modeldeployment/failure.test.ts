import { describe, expect, test } from 'vitest';
import { ApiError, ConnectionError } from '../../runtime/api-error.ts';
import { OwnershipError } from '../../runtime/apply.ts';
import { StoppedError, WaitingError } from '../../runtime/outcome.ts';
import { meaningOf } from './failure.ts';

const PATCH = 'PATCH /apis/apps/v1/namespaces/shop/deployments/churn-1';
const answer = (status: number, reason: string, message: string, causes?: { reason?: string; field?: string }[]) =>
  new ApiError(PATCH, status, { reason, message, ...(causes && { details: { causes } }) });

/** Reason, kind, and whether it is an error of ours that backs off. */
function told(error: unknown): string {
  const meaning = meaningOf(error);
  if (meaning.kind === 'refused') return `refused ${meaning.refusal.reason}`;
  if (meaning.kind === 'silent') return 'silent';
  const { kind, reason } = meaning.problem;
  return `${kind} ${reason} ${meaning.retryAfterMs === undefined ? 'backs off' : 'looks again'}`;
}

const policy = `deployments.apps "churn-1" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`;
const rbac = 'deployments.apps is forbidden: User "fairlead" cannot create resource "deployments" in API group "apps"';

describe('what an error of a phase means', () => {
  const cases: { rule: string; error: unknown; meaning: string }[] = [
    {
      rule: 'a policy that denies as Invalid is named, and is no fault of the spec',
      error: answer(422, 'Invalid', policy),
      meaning: 'failed AdmissionDenied looks again',
    },
    {
      rule: 'a policy that denies as Forbidden is named',
      error: answer(403, 'Forbidden', policy),
      meaning: 'failed AdmissionDenied looks again',
    },
    {
      rule: 'a webhook that denies is named, whatever code it chose',
      error: answer(400, 'BadRequest', 'admission webhook "w.example.com" denied the request: no'),
      meaning: 'failed AdmissionDenied looks again',
    },
    {
      rule: 'a right that the operator lacks is named, and is an error of the installation',
      error: answer(403, 'Forbidden', rbac),
      meaning: 'failed Forbidden backs off',
    },
    {
      rule: 'a quota that is used up is a lack of room',
      error: answer(
        403,
        'Forbidden',
        'deployments.apps "churn-1" is forbidden: exceeded quota: q, used: 4, limited: 4',
      ),
      meaning: 'capacity QuotaExceeded looks again',
    },
    {
      rule: 'what Kubernetes finds invalid is refused',
      error: answer(422, 'Invalid', 'bad', [{ reason: 'FieldValueInvalid', field: 'spec.x' }]),
      meaning: 'refused InvalidSpec',
    },
    {
      rule: 'a webhook that cannot be called is an error',
      error: answer(500, 'InternalError', 'failed calling webhook "w": connection refused'),
      meaning: 'waiting ReconcileError backs off',
    },
    {
      rule: 'an API server that does not answer is an error',
      error: new ConnectionError(PATCH, new Error('connection refused')),
      meaning: 'waiting ReconcileError backs off',
    },
    {
      rule: 'an object of the name that is still being deleted is waited for, and told',
      error: new WaitingError('services shop/churn is still being deleted', 5_000),
      meaning: 'waiting WaitingForDeletion looks again',
    },
    { rule: 'a foreign name is refused', error: new OwnershipError('x', 'nobody'), meaning: 'refused NameConflict' },
    {
      rule: 'a namespace that ends is not told',
      error: answer(403, 'Forbidden', 'no', [{ reason: 'NamespaceTerminating' }]),
      meaning: 'silent',
    },
    { rule: 'a conflict is not told', error: answer(409, 'Conflict', 'changed'), meaning: 'silent' },
    { rule: 'a stop is not told', error: new StoppedError('stopping'), meaning: 'silent' },
  ];
  test.each(cases)('$rule', ({ error, meaning }) => {
    expect(told(error)).toBe(meaning);
  });

  test("and it is told in the API server's words, without our request", () => {
    expect(meaningOf(answer(403, 'Forbidden', rbac))).toMatchObject({ problem: { message: rbac } });
  });
});
