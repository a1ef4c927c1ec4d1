import Type, { type Static } from 'typebox';
import { InferenceTensor, ModelExample } from './v1alpha1/model-example.ts';

/**
 * What a server pod is told: the contract between the controller, which writes it into the environment variable
 * `FAIRLEAD_SERVER_CONFIG` of a revision's pods, and `fairlead server`, which checks it before anything starts.
 */

export { InferenceTensor, ModelExample };

export const ServedModel = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    version: Type.Optional(Type.String({ minLength: 1 })),
    uri: Type.String({ minLength: 1 }),
    sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
    endpoint: Type.Optional(Type.String({ description: 'Endpoint of an S3-compatible store or a registry.' })),
    examples: Type.Optional(Type.Array(ModelExample)),
    batching: Type.Optional(
      Type.Object(
        { maxBatchSize: Type.Integer({ minimum: 1 }), maxDelayMs: Type.Number({ minimum: 0 }) },
        { additionalProperties: false },
      ),
    ),
    cache: Type.Optional(
      Type.Object(
        { maxEntries: Type.Integer({ minimum: 1 }), ttlMs: Type.Number({ minimum: 1 }) },
        { additionalProperties: false },
      ),
    ),
    /** Requests that may wait for this model before more are shed with 429. */
    maxQueueSize: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
);

export const ServingConfig = Type.Object(
  {
    models: Type.Array(ServedModel, { minItems: 1 }),
    /** `gpu` demands that a GPU execution provider is really active; loading fails as ProviderUnavailable otherwise. */
    device: Type.Optional(Type.Enum(['cpu', 'gpu'])),
    predictionLog: Type.Optional(
      Type.Object({ samplingRate: Type.Number({ minimum: 0, maximum: 1 }) }, { additionalProperties: false }),
    ),
    maxRequestBytes: Type.Optional(Type.Integer({ minimum: 1 })),
    /** Under which `GET /counts` tells what is counted; a server alone tells it by model and version. */
    revision: Type.Optional(
      Type.Object(
        { modelDeployment: Type.String({ minLength: 1 }), name: Type.String({ minLength: 1 }) },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);

export type ServedModel = Static<typeof ServedModel>;
export type ServingConfig = Static<typeof ServingConfig>;

/**
 * Why a model does not serve. `fairlead server` and `fairlead resolve` write one of them, with a message, as JSON
 * `{"reason", "message"}` into the pod's termination message; the controller shows it in status.
 */
export const LOAD_FAILURE_REASONS = [
  'ModelNotFound',
  'AccessDenied',
  'SourceUnreachable',
  'DigestMismatch',
  'InsufficientDisk',
  'InvalidModel',
  'UnsupportedOpset',
  'ProviderUnavailable',
  'ExampleMismatch',
  'InvalidConfiguration',
  'LoadFailed',
] as const;
export type LoadFailureReason = (typeof LOAD_FAILURE_REASONS)[number];

/** Written by `fairlead resolve` as JSON to stdout and the termination message. */
export const ResolvedModel = Type.Object({
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  sizeBytes: Type.Integer({ minimum: 0 }),
});
export type ResolvedModel = Static<typeof ResolvedModel>;
