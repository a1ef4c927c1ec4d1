import { objectKey } from '../../../runtime/types.ts';
import { SERVICE_ACCOUNTS, SERVICES } from '../../resources.ts';
import { refusal } from '../acceptance.ts';
import { GATEWAY_REASONS, gatewayRefusal } from '../gateway/refusal.ts';
import { lookAgain } from '../scope.ts';
import { desiredService, speaksGrpc } from '../services.ts';
import { keepAccount } from './account.ts';
import type { Phase } from './phase.ts';

/** How soon it is seen that a Gateway can do what it could not: asking is what makes the caches look again. */
const GATEWAY_RETRY_MS = 10_000;

/** Refuses what the schema could not, and makes sure of the names that pods and clients depend on. */
export const accept: Phase = async (scope, context) => {
  const { object, owner } = scope;
  scope.refusal = refusal(object) ?? gatewayRefusal(object, context.cache);
  if (scope.refusal !== undefined && GATEWAY_REASONS.has(scope.refusal.reason)) {
    lookAgain(scope, scope.nowMs + GATEWAY_RETRY_MS);
  }
  if (scope.refusal !== undefined) return 'stop';
  // Where it leads is for later; that it is there is not.
  const hasGrpc = speaksGrpc(object.spec, scope.revisions);
  const service = context.apply(SERVICES, desiredService(owner, scope.routing.lead ?? { to: 'servers' }, hasGrpc));
  await Promise.all([service, keepAccount(scope, context)]);
  const name = object.spec.pod?.serviceAccountName;
  if (name !== undefined) {
    if (context.cache.get(SERVICE_ACCOUNTS, objectKey({ namespace: owner.namespace, name })) === undefined) {
      const message = `pod.serviceAccountName: ServiceAccount ${name} does not exist in the namespace: create it`;
      scope.diagnoses = [{ kind: 'failed', reason: 'ServiceAccountNotFound', message }];
    }
  }
  return 'continue';
};
