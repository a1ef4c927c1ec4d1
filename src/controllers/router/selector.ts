/** How the routers of a namespace are found: by Services, and by whoever waits for them. */
import { LABELS, ROUTER_NAME } from '../../api/names.ts';
import { COMPONENT_LABEL, MANAGED_BY } from '../modeldeployment/children.ts';

export const ROUTER_SELECTOR: Readonly<Record<string, string>> = {
  [LABELS.name]: ROUTER_NAME,
  [COMPONENT_LABEL]: 'router',
};

/** On all that belongs to them. */
export const ROUTER_LABELS: Readonly<Record<string, string>> = { ...ROUTER_SELECTOR, [LABELS.managedBy]: MANAGED_BY };

export function isRouterPod({
  metadata,
}: {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
}): boolean {
  return metadata.labels?.[COMPONENT_LABEL] === 'router';
}

/** The index of router pods by their namespace. */
export const BY_ROUTER_NAMESPACE = 'routerNamespace';
