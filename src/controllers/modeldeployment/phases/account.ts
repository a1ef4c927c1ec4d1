/** The ServiceAccount of pods whose spec names none: there for as long as a revision that is kept may have pods under it. */
import { objectKey } from '../../../runtime/types.ts';
import { SERVICE_ACCOUNTS } from '../../resources.ts';
import { desiredServiceAccount } from '../desired.ts';
import type { Scope } from '../scope.ts';
import type { PhaseContext } from './phase.ts';

/** Of those without pods too: one of them may be gone back to. */
export function needsAccount({ object, owner, revisions }: Pick<Scope, 'object' | 'owner' | 'revisions'>): boolean {
  const isNamed = object.spec.pod?.serviceAccountName !== undefined;
  return !isNamed || revisions.some(({ serviceAccount }) => serviceAccount === owner.name);
}

/** Makes it where it is missing. */
export async function keepAccount(scope: Scope, context: PhaseContext): Promise<void> {
  const { object, owner } = scope;
  if (!needsAccount(scope)) return;
  const named = object.spec.pod?.serviceAccountName;
  const exists = context.cache.get(SERVICE_ACCOUNTS, objectKey(owner)) !== undefined;
  // A user may have one of their own with this name, which is not Fairlead's to make or to keep.
  if (named !== undefined && (exists || named === owner.name)) return;
  await context.apply(SERVICE_ACCOUNTS, desiredServiceAccount(owner));
}
