import { objectKey } from '../../../runtime/types.ts';
import { CONFIG_MAPS } from '../../resources.ts';
import { judgeable } from '../acceptance.ts';
import { standingSplitter } from '../routing/splitter.ts';
import type { Scope } from '../scope.ts';
import { keepAccount } from './account.ts';
import { routingOf } from './observe.ts';
import type { Phase } from './phase.ts';

/**
 * Whether the spec stands in the way, and nothing of what it asks for has been begun: what runs must not be left alone for
 * that. It may be a canary that fails, or that a person takes back.
 */
export function mustHold({ refusal, problem, isUnderWay, revisions }: Scope): boolean {
  const isRefused = refusal !== undefined || (problem !== undefined && problem.kind !== 'waiting');
  return isRefused && !isUnderWay && revisions.length > 0;
}

/** Has the phases after it go on with what runs, by the way in which it runs, and begin nothing. */
export const hold: Phase = async (scope, context) => {
  const { owner, object, routing } = scope;
  const { cache } = context;
  scope.isHeld = true;
  scope.object = { ...object, spec: judgeable(object.spec) };
  const splitter = standingSplitter(owner.name, routing.lead, (name) =>
    cache.get(CONFIG_MAPS, objectKey({ namespace: owner.namespace, name })),
  );
  scope.routing = routingOf(scope, context, splitter);
  // Of what was not begun.
  scope.diagnoses = [];
  scope.claimsRoom = false;
  await keepAccount(scope, context);
  return 'continue';
};
