/** Who asks an outside registry for which ModelDeployments: one pod for all that ask the same server in the same way. Pure. */
import type { V1PodSpec } from '@kubernetes/client-node';
import { API_GROUP, LABELS, REGISTRY_NAME } from '../../api/names.ts';
import { parseModelsUri, type RegistryConfig } from '../../api/registry-answers.ts';
import type { ModelDeployment } from '../kinds.ts';
import { COMPONENT_LABEL, MANAGED_BY } from '../modeldeployment/children.ts';
import { fetchingContainer, podFrame } from '../modeldeployment/pod.ts';
import { shortHash } from '../modeldeployment/revision.ts';

const CONTAINER = 'registry';
const CONFIG_VARIABLE = 'FAIRLEAD_REGISTRY_CONFIG';

/** On a Deployment that asks, and its pods: which of the namespace's it is. */
export const ASKER_LABEL = `${API_GROUP}/registry-asker`;

/** On all that belongs to what asks. */
export const ASKER_LABELS: Readonly<Record<string, string>> = {
  [LABELS.managedBy]: MANAGED_BY,
  [LABELS.name]: REGISTRY_NAME,
  [COMPONENT_LABEL]: CONTAINER,
};

/** One Deployment of `fairlead registry`, and for whom it asks. */
export interface Asker {
  readonly id: string;
  /** `<REGISTRY_NAME>-<id>` */
  readonly name: string;
  readonly serviceAccountName: string;
  readonly podSpec: V1PodSpec;
  readonly users: readonly ModelDeployment[];
}

/** Whether the model is one of an outside registry. */
export function asksOutside({ spec, metadata }: ModelDeployment): boolean {
  const { uri } = spec.model;
  return metadata.deletionTimestamp === undefined && uri !== undefined && parseModelsUri(uri) !== undefined;
}

/** The same for all that reach the same server with the same credentials from the same kind of pod. */
export function askerId(object: ModelDeployment): string {
  const { endpoint } = object.spec.model;
  return shortHash({ endpoint, pod: bareSpec(object) });
}

/** Where in the ConfigMap the answer for a ModelDeployment is. */
export function answerKey(id: string, uri: string): string {
  return `answer-${shortHash([id, uri])}`;
}

/** Where in the ConfigMap stands why an asker gets no answer. */
export function failureKey(id: string): string {
  return `failure-${id}`;
}

/**
 * @param users of one namespace
 * @param image of Fairlead
 */
export function askersOf(users: readonly ModelDeployment[], image: string): readonly Asker[] {
  const groups = [...Map.groupBy(users, askerId)].sort(([a], [b]) => (a < b ? -1 : 1));
  return groups.flatMap(([id, group]) => {
    const [first] = group;
    return first === undefined ? [] : [{ ...askerFor(id, first, group, image), users: group }];
  });
}

function askerFor(
  id: string,
  like: ModelDeployment,
  users: readonly ModelDeployment[],
  image: string,
): Omit<Asker, 'users'> {
  const spec = bareSpec(like);
  const uris = [...new Set(users.map((user) => user.spec.model.uri ?? ''))].sort();
  const config: RegistryConfig = {
    endpoint: like.spec.model.endpoint ?? '',
    questions: uris.map((uri) => ({ uri, key: answerKey(id, uri) })),
    failureKey: failureKey(id),
  };
  const [container] = spec.containers;
  const env = [
    ...(container?.env ?? []),
    { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
    // The kubelet must find no `$(VARIABLE)` to replace.
    { name: CONFIG_VARIABLE, value: JSON.stringify(config).replaceAll('$', '\\u0024') },
  ];
  return {
    id,
    name: `${REGISTRY_NAME}-${id}`,
    serviceAccountName: spec.serviceAccountName ?? REGISTRY_NAME,
    podSpec: { ...spec, containers: spec.containers.map((each) => ({ ...each, image, env })) },
  };
}

/** The pod without its image and what it is to ask: what the user says of the pods that fetch the model. */
function bareSpec({ metadata, spec }: ModelDeployment): V1PodSpec {
  const { name, namespace, uid = '' } = metadata;
  const owner = { name, namespace, reference: { apiVersion: '', kind: '', name, uid } };
  const modelUri = '';
  return {
    ...podFrame(owner, spec, { modelUri, runAsOwnUser: true, onAccelerator: false }),
    // An account of its own where the user names none: that of a ModelDeployment would be another one for each.
    serviceAccountName: spec.pod?.serviceAccountName ?? REGISTRY_NAME,
    automountServiceAccountToken: true,
    terminationGracePeriodSeconds: 5,
    containers: [
      {
        name: CONTAINER,
        args: ['registry'],
        ...fetchingContainer(spec, modelUri),
        ...(spec.pod?.env && { env: spec.pod.env }),
        resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '128Mi' } },
      },
    ],
  };
}
