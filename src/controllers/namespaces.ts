/**
 * For controllers that keep something once a namespace. The runtime knows objects and not namespaces, so one
 * ModelDeployment stands for its namespace: the first by name.
 */
import { OwnershipError } from '../runtime/apply.ts';
import { WaitingError } from '../runtime/outcome.ts';
import type { CacheReader, ReconcileContext } from '../runtime/reconcile-context.ts';
import { type KubeObject, type ObjectKey, type OwnerReference, objectKey } from '../runtime/types.ts';
import { MODEL_DEPLOYMENTS, type ModelDeployment } from './kinds.ts';
import { shortHash } from './modeldeployment/revision.ts';

/** Shipped beside the operator; its ServiceAccounts in namespaces are bound to it. */
export interface ShippedRole {
  readonly kind: 'ClusterRole' | 'Role';
  readonly name: string;
}

/** Nothing tells of a foreign object that it goes: of most kinds only ours are watched. */
const NAME_CONFLICT_RETRY_MS = 30_000;

/** The key of the one that stands for the namespace; none where it has no ModelDeployment. */
export function representativeOf(cache: CacheReader, namespace: string): readonly ObjectKey[] {
  const names = cache.list(MODEL_DEPLOYMENTS, namespace).map(({ metadata }) => metadata.name);
  const first = names.reduce<string | undefined>(
    (least, name) => (least === undefined || name < least ? name : least),
    undefined,
  );
  return first === undefined ? [] : [objectKey({ namespace, name: first })];
}

/** Maps an object that `concerns` its namespace to the one that stands for it. */
export function toRepresentative(
  concerns: (object: KubeObject) => boolean = () => true,
): (object: KubeObject, cache: CacheReader) => readonly ObjectKey[] {
  return (object, cache) => (concerns(object) ? representativeOf(cache, object.metadata.namespace ?? '') : []);
}

/** Owned by each without being controlled by any: the garbage collector keeps it until the last of them is gone. */
export function sharedReference({ apiVersion, kind, metadata }: ModelDeployment): OwnerReference {
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '' };
}

/**
 * The name of the binding of `part` to a role. It differs with the role, since what a binding gives can never be changed:
 * an operator that is told another role makes another binding.
 */
export function bindingName(part: string, role: ShippedRole): string {
  return `${part}-${shortHash(role)}`;
}

/**
 * Makes what `users` share. Where its name is taken, each of them is told so by an Event: they wait for it, and only say
 * that it does not run.
 * @throws {WaitingError} where a name is taken; else what `make` throws
 */
export async function makeFor<T>(
  users: readonly ModelDeployment[],
  context: Pick<ReconcileContext, 'event'>,
  make: () => Promise<T>,
): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (error instanceof OwnershipError) {
      const event = { type: 'Warning', reason: 'NameConflict', action: 'Share', note: error.message } as const;
      for (const user of users) context.event(user, event);
      throw new WaitingError(error.message, NAME_CONFLICT_RETRY_MS, { cause: error });
    }
    throw error;
  }
}
