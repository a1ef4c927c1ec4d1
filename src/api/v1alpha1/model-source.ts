import Type, { type Static } from 'typebox';
import { cel, text } from '../schema.ts';
import { ModelExample } from './model-example.ts';
import { localReference, objectName } from './references.ts';

/** Where a model's bytes come from. */

export const MODEL_URI_SCHEMES = ['file', 'pvc', 'http', 'https', 's3', 'oci'] as const;

const SCHEME = `(${MODEL_URI_SCHEMES.join('|')})://`;

const PLACE_MESSAGE =
  'must be file:///PATH, pvc://CLAIM/PATH, http(s)://HOST/PATH, s3://BUCKET/KEY or oci://HOST/REPOSITORY:TAG, ' +
  'without blanks and without a user name (credentials belong into credentialsRef)';

/** Of a claim or a host the root may be meant; of a bucket, a registry or the file system only what is in it. */
const PLACE =
  '^(file:///[^[:space:][:cntrl:]]|(pvc|http|https)://[A-Za-z0-9._:-]+/|(s3|oci)://[A-Za-z0-9._:-]+/[^[:space:][:cntrl:]])[^[:space:][:cntrl:]]*$';

/** The place of a model: a file or a directory. */
export function modelUri(description: string) {
  return text(2048, {
    description,
    ...cel(
      {
        rule: `self.matches('^${SCHEME}')`,
        message: `must start with one of ${MODEL_URI_SCHEMES.map((scheme) => `${scheme}://`).join(', ')}`,
      },
      {
        rule: `!self.matches('^${SCHEME}') || self.matches('${PLACE}')`,
        message: PLACE_MESSAGE,
      },
    ),
  });
}

/** What a `models:/` URI may say: a model of an outside registry by alias or by version, as MLflow writes it. */
export const MODELS_URI = '^models:/([^/@: ]{1,256})(@([A-Za-z0-9_.-]{1,255})|/([0-9]{1,18}))$';

/** The place of a model, or what a registry outside of the cluster's own objects says it is. */
function modelSourceUri(description: string) {
  return text(2048, {
    description,
    ...cel(
      {
        rule: `self.matches('^(${SCHEME}|models:/)')`,
        message: `must start with one of ${MODEL_URI_SCHEMES.map((scheme) => `${scheme}://`).join(', ')}, or with models:/`,
      },
      {
        rule: `!self.matches('^${SCHEME}') || self.matches('${PLACE}')`,
        message: PLACE_MESSAGE,
      },
      {
        rule: `!self.startsWith('models:/') || self.matches('${MODELS_URI}')`,
        message: 'must be models:/NAME@ALIAS or models:/NAME/VERSION, with a number as version',
      },
    ),
  });
}

/** The digest that pods verify before they serve. */
export function sha256(description: string) {
  return text(64, {
    description,
    ...cel({ rule: "self.matches('^[0-9a-f]{64}$')", message: 'must be 64 lower-case hexadecimal digits' }),
  });
}

/** A version as the registry names it. */
export function modelVersion(description: string) {
  return text(63, {
    description,
    minLength: 1,
    ...cel({
      rule: "self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')",
      message: 'must be letters, digits, ., _ and -, starting and ending with a letter or digit',
    }),
  });
}

export const ModelReference = Type.Object(
  {
    model: objectName('Name of the Model, in the same namespace.'),
    alias: Type.Optional(
      text(63, {
        description: 'An alias of the Model, such as champion: the version follows it when it moves. Or `version`.',
        minLength: 1,
      }),
    ),
    version: Type.Optional(modelVersion('One version of the Model, fixed. Or `alias`.')),
  },
  {
    description: 'A model of the registry, by alias or by version.',
    ...cel({
      rule: 'has(self.alias) != has(self.version)',
      message: 'exactly one of alias and version must be given',
    }),
  },
);
export type ModelReference = Static<typeof ModelReference>;

export const ModelSource = Type.Object(
  {
    uri: Type.Optional(
      modelSourceUri(
        'Where the model is: a file or a directory, at file://, pvc://CLAIM/PATH, http://, https://, s3:// or oci://. Or ' +
          'what MLflow says at `endpoint`: models:/NAME@ALIAS, which follows the alias when it moves, or ' +
          'models:/NAME/VERSION. Or `ref`.',
      ),
    ),
    ref: Type.Optional(ModelReference),
    sha256: Type.Optional(
      sha256(
        'Digest of the bytes: 64 hexadecimal digits; of a directory, that of its sorted lines `path sha256`. ' +
          'Only with `uri`. Default: resolved once, before a pod starts, so that all pods load the same bytes.',
      ),
    ),
    credentialsRef: Type.Optional(
      localReference(
        'A Secret whose keys become environment variables of the pods that fetch the model: AWS_ACCESS_KEY_ID and the ' +
          'like, FAIRLEAD_REGISTRY_USERNAME, FAIRLEAD_REGISTRY_PASSWORD, FAIRLEAD_HTTP_BEARER_TOKEN, ' +
          'MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_TOKEN, MLFLOW_S3_ENDPOINT_URL.',
      ),
    ),
    endpoint: Type.Optional(
      text(1024, {
        description:
          'Endpoint of an S3-compatible store, such as http://minio.store:9000, or of a registry that stands in for the ' +
          'one in the URI. Default: the public one. With models:/ the MLflow tracking server, such as ' +
          'http://mlflow.ml:5000, which is needed.',
        ...cel({
          rule: "self.matches('^https?://[A-Za-z0-9._:-]+(/[^ ]*)?$')",
          message: 'must be an http:// or https:// URL without a user name',
        }),
      }),
    ),
    examples: Type.Optional(
      Type.Array(ModelExample, {
        maxItems: 16,
        description:
          'Requests and their right answers: used for warm-up, and a pod is ready only after it answered them. ' +
          "Default: inputs made from the model's signature, with any answer.",
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
  },
  {
    description: 'The model that is served.',
    ...cel(
      { rule: 'has(self.uri) != has(self.ref)', message: 'exactly one of uri and ref must be given' },
      {
        rule: '!has(self.sha256) || has(self.uri)',
        message: 'sha256 goes with uri only; with ref, the ModelVersion carries it',
        fieldPath: '.sha256',
      },
      {
        rule: "!has(self.uri) || !self.uri.startsWith('models:/') || has(self.endpoint)",
        message: 'models:/ needs endpoint: the MLflow tracking server, such as http://mlflow.ml:5000',
        fieldPath: '.uri',
      },
      {
        rule: "!has(self.sha256) || !has(self.uri) || !(self.uri.startsWith('models:/') && self.uri.contains('@'))",
        message:
          'sha256 does not go with models:/NAME@ALIAS: each version that the alias comes to stand for has its own',
        fieldPath: '.sha256',
      },
    ),
  },
);
export type ModelSource = Static<typeof ModelSource>;
