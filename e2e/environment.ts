import { afterAll, beforeAll, inject } from 'vitest';
import { type ClusterObject, condition, Kubectl } from './kubectl.ts';
import { modelStore, readModel } from './model-store.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The cluster that `vitest-cluster.ts` made ready for the end-to-end tests. */
    cluster: {
      readonly kubeconfigPath: string;
      readonly kubectl: string;
      readonly helm: string;
      /** The Fairlead image that the cluster's nodes hold. */
      readonly image: string;
    };
  }
}

export const READY_TIMEOUT_MS = 120_000;
export const BREAST_CANCER = 'breast-cancer-v1.onnx';

export const image = () => inject('cluster').image;
export const kubeconfigPath = () => inject('cluster').kubeconfigPath;

export function kubectl(): Kubectl {
  const { kubectl: binary, kubeconfigPath } = inject('cluster');
  return new Kubectl({ binary, kubeconfigPath });
}

/**
 * Gives the tests of a `describe` a namespace of their own under the Restricted pod security standard; it is gone when
 * they are done. Call it in the body of the `describe`.
 */
export function useNamespace(name: string): string {
  beforeAll(async () => {
    await kubectl().run(['delete', 'namespace', name, '--ignore-not-found', '--timeout=120s']);
    await kubectl().apply({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    });
  });
  afterAll(async () => {
    await kubectl().run(['delete', 'namespace', name, '--wait=false']);
  });
  return name;
}

/** A model store in the namespace with the committed models, and with `more` files. */
export async function startModelStore(namespace: string, more: Readonly<Record<string, Buffer>> = {}): Promise<void> {
  const files = [BREAST_CANCER, 'breast-cancer-v2.onnx'];
  const committed = Object.fromEntries(files.map((file) => [file, readModel(file)]));
  await kubectl().apply(...modelStore(namespace, image(), { ...committed, ...more }));
  await kubectl().run(['rollout', 'status', 'deployment/model-store', '-n', namespace, '--timeout=120s']);
}

export function storeUri(namespace: string, file: string): string {
  return `http://model-store.${namespace}.svc/${file}`;
}

/** A ModelDeployment of a committed model with small pods; `spec` replaces what it names. */
export function modelDeployment(namespace: string, name: string, spec: Readonly<Record<string, unknown>> = {}): object {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name, namespace },
    spec: {
      model: { uri: storeUri(namespace, BREAST_CANCER) },
      resources: { requests: { cpu: '20m', memory: '96Mi' }, limits: { memory: '512Mi' } },
      ...spec,
    },
  };
}

export const modelDeployments = (namespace: string) =>
  `/apis/fairlead.dev/v1alpha1/namespaces/${namespace}/modeldeployments`;

/** Waits until the ModelDeployment is as `predicate` says, in a status that speaks of its present spec. */
export async function until(
  namespace: string,
  name: string,
  predicate: (object: ClusterObject) => boolean,
  timeoutMs = READY_TIMEOUT_MS,
): Promise<ClusterObject> {
  const current = (object: ClusterObject | undefined): object is ClusterObject =>
    object !== undefined && object.status?.observedGeneration === object.metadata.generation && predicate(object);
  const found = await kubectl().until(modelDeployments(namespace), name, current, timeoutMs);
  if (found === undefined) throw new Error(`ModelDeployment ${namespace}/${name} is gone`);
  return found;
}

export function untilReady(namespace: string, name: string): Promise<ClusterObject> {
  return until(namespace, name, (object) => condition(object, 'Ready')?.status === 'True');
}

export async function podsOf(namespace: string, name: string): Promise<ClusterObject[]> {
  return kubectl().list('pods', namespace, `fairlead.dev/model-deployment=${name}`);
}
