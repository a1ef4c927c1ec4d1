/** Fairlead's own kinds as the controllers read them, and the indexes by which they are found. */
import { API_GROUP, API_VERSION } from '../api/names.ts';
import type { Model as DeclaredModel } from '../api/v1alpha1/model.ts';
import type { ModelDeployment as DeclaredDeployment } from '../api/v1alpha1/model-deployment.ts';
import type { ModelVersion as DeclaredVersion } from '../api/v1alpha1/model-version.ts';
import type { MappedWatch, Watch } from '../runtime/reconcile-context.ts';
import { defineResource, type KubeObject, type ObjectKey, type ObjectMeta, objectKey } from '../runtime/types.ts';

/** The declared type with metadata as the runtime has it: JSON, dates as texts. */
type Stored<T> = Omit<T, 'metadata'> & { readonly metadata: ObjectMeta & { readonly namespace: string } };

export type ModelDeployment = Stored<DeclaredDeployment>;
export type Model = Stored<DeclaredModel>;
export type ModelVersion = Stored<DeclaredVersion>;

const fairlead = <T extends KubeObject>(kind: string) =>
  defineResource<T>({
    group: API_GROUP,
    version: API_VERSION,
    kind,
    plural: `${kind.toLowerCase()}s`,
    namespaced: true,
  });

export const MODEL_DEPLOYMENTS = fairlead<ModelDeployment>('ModelDeployment');
export const MODELS = fairlead<Model>('Model');
export const MODEL_VERSIONS = fairlead<ModelVersion>('ModelVersion');

/** The index of ModelVersions and ModelDeployments by `namespace/model`, the Model that they are of or refer to. */
export const BY_MODEL = 'model';

export function modelKeyOf(object: ModelVersion | ModelDeployment): string | undefined {
  const name = object.kind === 'ModelVersion' ? object.spec.model : object.spec.model.ref?.model;
  return name === undefined ? undefined : objectKey({ namespace: object.metadata.namespace, name });
}

const byModel = (object: ModelVersion | ModelDeployment) => {
  const key = modelKeyOf(object);
  return key === undefined ? [] : [key];
};

/** The index of ModelDeployments by the keys of those that answer in their place, or with them as an ensemble. */
export const BY_REFERENCE = 'reference';

export function referencesOf({ metadata: { namespace }, spec: { traffic } }: ModelDeployment): readonly ObjectKey[] {
  const { modelDeploymentRef: fallback } = traffic?.fallback ?? {};
  const members = traffic?.ensemble?.members ?? [];
  return [...(fallback ? [fallback] : []), ...members].map(({ name }) => objectKey({ namespace, name }));
}

/** The runtime has one cache a resource: whoever watches one of these watches it so. */
export const watchModelDeployments: Watch<ModelDeployment> = {
  resource: MODEL_DEPLOYMENTS,
  indexes: { [BY_MODEL]: byModel, [BY_REFERENCE]: referencesOf },
};
export const watchModels: Watch<Model> = { resource: MODELS };
export const watchModelVersions: Watch<ModelVersion> = { resource: MODEL_VERSIONS, indexes: { [BY_MODEL]: byModel } };

export function mapped<T extends KubeObject>(watch: Watch<T>, map: MappedWatch<T>['map']): MappedWatch<T> {
  return { ...watch, map };
}
