/** Names, labels and metadata of the objects that a ModelDeployment owns. */
import { API_GROUP, LABELS } from '../../api/names.ts';
import type { ObjectMeta, OwnerReference } from '../../runtime/types.ts';
import { shortHash } from './revision.ts';

export const COMPONENT_LABEL = 'app.kubernetes.io/component';
/** `server`: pods that serve. `resolve`: Jobs and pods that tell a model's digest. `router` is the namespace's. */
export type Component = 'server' | 'resolve';

/** On a resolve Job: which question it answers, and the how-manieth time it is asked. */
export const RESOLVE_LABELS = {
  question: `${API_GROUP}/resolve`,
  attempt: `${API_GROUP}/resolve-attempt`,
} as const;

export const MANAGED_BY = 'fairlead';

/** Who owns the children, as far as their metadata need it. */
export interface Owner {
  readonly name: string;
  readonly namespace: string;
  readonly reference: OwnerReference;
}

export function childLabels(owner: Owner, component: Component): Record<string, string> {
  return {
    [LABELS.managedBy]: MANAGED_BY,
    [LABELS.name]: owner.name,
    [COMPONENT_LABEL]: component,
    [LABELS.modelDeployment]: owner.name,
  };
}

export function childMetadata(
  owner: Owner,
  name: string,
  labels: Readonly<Record<string, string>> = {},
  annotations?: Readonly<Record<string, string>>,
): ObjectMeta {
  return {
    name,
    namespace: owner.namespace,
    labels: { ...childLabels(owner, 'server'), ...labels },
    ...(annotations && { annotations }),
    ownerReferences: [owner.reference],
  };
}

/** The pods of all revisions that serve; a Service keeps to the ready ones by itself. */
export function serverSelector(owner: Owner): Record<string, string> {
  return { [LABELS.modelDeployment]: owner.name, [COMPONENT_LABEL]: 'server' };
}

/** `key=value` pairs, as the scale subresource wants them. */
export function selectorText(selector: Readonly<Record<string, string>>): string {
  return Object.entries(selector)
    .map(([label, value]) => `${label}=${value}`)
    .join(',');
}

/** Job names end up in labels of 63 characters, with room for what the Job controller adds to its pods. */
export function resolveJobName(owner: Owner, question: string, attempt: number): string {
  return `${owner.name.slice(0, 30).replace(/-+$/, '')}-resolve-${shortHash([owner.name, question]).slice(0, 8)}-${attempt}`;
}
