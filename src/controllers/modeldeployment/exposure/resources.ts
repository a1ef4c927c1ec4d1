/** The kinds that publish a ModelDeployment without the Gateway API. */
import { LABELS } from '../../../api/names.ts';
import type { Watch } from '../../../runtime/reconcile-context.ts';
import { defineResource } from '../../../runtime/types.ts';
import { MANAGED_BY } from '../children.ts';

export const INGRESSES = defineResource({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'Ingress',
  plural: 'ingresses',
  namespaced: true,
});

export const watchIngresses: Watch = {
  resource: INGRESSES,
  selector: { [LABELS.managedBy]: MANAGED_BY },
  transform: ({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata }),
};
