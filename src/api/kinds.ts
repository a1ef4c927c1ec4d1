import type { Kind } from './kind.ts';
import { Model } from './v1alpha1/model.ts';
import { ModelDeployment } from './v1alpha1/model-deployment.ts';
import { ModelVersion } from './v1alpha1/model-version.ts';

/** Every kind of the API, in the order of the reference. */
export const KINDS: readonly Kind[] = [ModelDeployment, Model, ModelVersion];
