/** The objects of what asks outside registries in a namespace, as they should be. */
import { REGISTRY_NAME } from '../../api/names.ts';
import type { DesiredObject } from '../../runtime/apply.ts';
import type { ObjectMeta, OwnerReference } from '../../runtime/types.ts';
import { bindingName, type ShippedRole } from '../namespaces.ts';
import { ASKER_LABEL, ASKER_LABELS, type Asker } from './asker.ts';

/** What the operator was told about them. */
export interface RegistrySettings {
  /** Image of Fairlead. */
  readonly image: string;
  /** What their ServiceAccounts are bound to: the right to write the ConfigMap `REGISTRY_NAME`, and no other. */
  readonly role: ShippedRole;
}

/** @param owners what keeps the object alive: it goes with the last of them */
function metadata(namespace: string, owners: readonly OwnerReference[], name: string = REGISTRY_NAME): ObjectMeta {
  return { name, namespace, labels: ASKER_LABELS, ownerReferences: owners };
}

/** Where answers are written. Its data are those who ask's. */
export function desiredAnswers(namespace: string, owners: readonly OwnerReference[]): DesiredObject {
  return { metadata: metadata(namespace, owners) };
}

export function desiredAskerAccount(namespace: string, owner: OwnerReference): DesiredObject {
  return { metadata: metadata(namespace, [owner]), automountServiceAccountToken: false };
}

export function desiredAskerRoleBinding(
  namespace: string,
  owner: OwnerReference,
  accounts: readonly string[],
  { role }: RegistrySettings,
): DesiredObject {
  return {
    metadata: metadata(namespace, [owner], bindingName(REGISTRY_NAME, role)),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: role.kind, name: role.name },
    subjects: accounts.map((name) => ({ kind: 'ServiceAccount', name, namespace })),
  };
}

export function desiredAskerDeployment(
  namespace: string,
  owners: readonly OwnerReference[],
  { id, name, podSpec }: Asker,
): DesiredObject {
  const matchLabels = { ...ASKER_LABELS, [ASKER_LABEL]: id };
  const own = metadata(namespace, owners, name);
  return {
    metadata: { ...own, labels: matchLabels },
    spec: {
      replicas: 1,
      revisionHistoryLimit: 1,
      selector: { matchLabels },
      // Of two that ask at once the older one could have the last word.
      strategy: { type: 'Recreate' },
      template: { metadata: { labels: matchLabels }, spec: podSpec },
    },
  };
}
