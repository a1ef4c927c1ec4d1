import Type, { type Static } from 'typebox';
import { defineKind, type ObjectOf } from '../kind.ts';
import { cel, stringMap, text } from '../schema.ts';
import { Conditions } from './condition.ts';
import { modelUri, modelVersion, sha256 } from './model-source.ts';
import { objectName } from './references.ts';

export const ModelVersionSpec = Type.Object(
  {
    model: objectName('Name of the Model that this is a version of, in the same namespace.'),
    version: modelVersion('The version, such as 7. A text: quote numbers.'),
    uri: modelUri(
      'Where the version is: a file or a directory, at file://, pvc://, http://, https://, s3:// or oci://.',
    ),
    sha256: Type.Optional(
      sha256(
        'Digest of the bytes: 64 hexadecimal digits; of a directory, that of its sorted lines `path sha256`. ' +
          'Default: resolved by whatever serves the version.',
      ),
    ),
    metrics: Type.Optional(
      stringMap({ description: 'Measured quality, by name, such as auc: "0.91". Decimal numbers as texts.' }),
    ),
    lineage: Type.Optional(
      Type.Object(
        {
          run: Type.Optional(text(253, { description: 'Name of the run that made it.' })),
          data: Type.Optional(text(2048, { description: 'Digest or place of the data it was trained on.' })),
          image: Type.Optional(text(1024, { description: 'Image that trained it.' })),
        },
        { description: 'What the version was made from.' },
      ),
    ),
    card: Type.Optional(
      text(16_384, { description: 'The model card, as Markdown: what the model is for, its limits, its data.' }),
    ),
  },
  {
    description: 'What the version is. It never changes.',
    ...cel({ rule: 'self == oldSelf', message: 'spec is immutable: make a new ModelVersion instead' }),
  },
);
export type ModelVersionSpec = Static<typeof ModelVersionSpec>;

/** Names in `status.servedBy` at most; a version that more serve shows the first of them. */
export const MAX_SERVED_BY = 32;

export const ModelVersionStatus = Type.Object(
  {
    aliases: Type.Optional(
      Type.Array(text(63, { description: 'One alias.' }), {
        description: 'Aliases of the Model that stand for this version, in alphabetical order.',
        maxItems: 64,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    servedBy: Type.Optional(
      Type.Array(
        Type.Object(
          {
            kind: text(63, { description: 'Kind of the object.' }),
            name: text(253, { description: 'Name of the object, in the same namespace.' }),
          },
          { description: 'One object whose pods serve it.' },
        ),
        {
          description: 'What serves this version now, in alphabetical order; at most the first 32.',
          maxItems: MAX_SERVED_BY,
          'x-kubernetes-list-type': 'atomic',
        },
      ),
    ),
    conditions: Type.Optional(Conditions),
  },
  { description: 'What is true. Only the operator writes it.' },
);
export type ModelVersionStatus = Static<typeof ModelVersionStatus>;

export const ModelVersion = defineKind({
  kind: 'ModelVersion',
  shortNames: ['mv'],
  description: 'One version of a model: where its bytes are, their digest, and how it came to be. Immutable.',
  spec: ModelVersionSpec,
  status: ModelVersionStatus,
  rules: [],
  printerColumns: [
    { name: 'Model', type: 'string', jsonPath: '.spec.model', description: 'The Model.' },
    { name: 'Version', type: 'string', jsonPath: '.spec.version', description: 'The version.' },
    { name: 'Aliases', type: 'string', jsonPath: '.status.aliases', description: 'Aliases that stand for it.' },
    { name: 'URI', type: 'string', jsonPath: '.spec.uri', description: 'Where the version is.', priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was made.' },
  ],
});
export type ModelVersion = ObjectOf<typeof ModelVersion>;
