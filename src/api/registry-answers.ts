import Type, { type Static } from 'typebox';
import { MODELS_URI } from './v1alpha1/model-source.ts';

/**
 * What `models:/` URIs stand for: the contract between the operator, which tells `fairlead registry` in the environment
 * variable `FAIRLEAD_REGISTRY_CONFIG` what to ask, and reads what was answered in the ConfigMap `REGISTRY_NAME` of the
 * namespace. The operator itself asks no server that a user names.
 */

const strict = { additionalProperties: false };

/** One answer that is looked for again and again. `uri` is what the user wrote. */
export const RegistryQuestion = Type.Object(
  {
    uri: Type.String({ minLength: 1, maxLength: 2048 }),
    /** Key of the answer in the ConfigMap. */
    key: Type.String({ pattern: '^[-._a-zA-Z0-9]{1,253}$' }),
  },
  strict,
);
export type RegistryQuestion = Static<typeof RegistryQuestion>;

export const RegistryConfig = Type.Object(
  {
    /** The tracking server. */
    endpoint: Type.String({ minLength: 1, maxLength: 1024 }),
    questions: Type.Array(RegistryQuestion, { minItems: 1, maxItems: 2000 }),
    /** Key in the ConfigMap under which stands why nothing can be asked, for as long as that is so. */
    failureKey: Type.String({ pattern: '^[-._a-zA-Z0-9]{1,253}$' }),
  },
  strict,
);
export type RegistryConfig = Static<typeof RegistryConfig>;

/** What a registry says of a model by alias or by version. */
export const RegistryAnswer = Type.Union([
  Type.Object(
    { kind: Type.Literal('found'), version: Type.String({ maxLength: 63 }), uri: Type.String({ maxLength: 2048 }) },
    strict,
  ),
  /** It is there, but not to be had, or it is not there: `message` says what is missing and what there is. */
  Type.Object({ kind: Type.Literal('missing'), message: Type.String({ maxLength: 1024 }) }, strict),
]);
export type RegistryAnswer = Static<typeof RegistryAnswer>;

export const RegistryFailure = Type.Object(
  { reason: Type.Enum(['SourceUnreachable', 'AccessDenied']), message: Type.String({ maxLength: 1024 }) },
  strict,
);
export type RegistryFailure = Static<typeof RegistryFailure>;

/** A model of a registry, by alias or by version. */
export interface RegistryReference {
  readonly model: string;
  readonly alias?: string;
  readonly version?: string;
}

/** What a `models:/` URI refers to; undefined for what is none. */
export function parseModelsUri(uri: string): RegistryReference | undefined {
  const [, model, , alias, version] = new RegExp(MODELS_URI).exec(uri) ?? [];
  if (model === undefined) return undefined;
  return { model, ...(alias !== undefined && { alias }), ...(version !== undefined && { version }) };
}

/** Whoever knows which version an alias stands for, and where a version is. */
export interface ModelRegistry {
  /** @throws RegistryUnavailableError when there is no answer now */
  find(reference: RegistryReference): Promise<RegistryAnswer>;
}

/** Nobody can say now. */
export class RegistryUnavailableError extends Error {
  override readonly name = 'RegistryUnavailableError';
  readonly reason: RegistryFailure['reason'];
  /** When the server says how long to wait before asking again. */
  readonly retryAfterMs: number | undefined;

  constructor(reason: RegistryFailure['reason'], message: string, retryAfterMs?: number) {
    super(message);
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}
