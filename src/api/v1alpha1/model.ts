import Type, { type Static } from 'typebox';
import { defineKind, type ObjectOf } from '../kind.ts';
import { cel, text } from '../schema.ts';
import { Conditions } from './condition.ts';
import { modelVersion } from './model-source.ts';

export const ModelSpec = Type.Object(
  {
    aliases: Type.Record(Type.String(), modelVersion('Version of the model that the alias stands for.'), {
      description:
        'Names that stand for versions, such as champion: "7". Moving one is how a version is promoted: every ' +
        'ModelDeployment that follows it rolls the new version out.',
      default: {},
      maxProperties: 64,
      ...cel({
        rule: "self.all(alias, alias.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && alias.size() <= 63)",
        message: 'each of aliases must be at most 63 lower-case letters, digits and -',
      }),
    }),
  },
  { description: 'What is wanted of the model.', default: {} },
);
export type ModelSpec = Static<typeof ModelSpec>;

export const ModelStatus = Type.Object(
  {
    observedGeneration: Type.Optional(
      Type.Integer({
        description: 'The generation of the spec that the status speaks of.',
        minimum: 0,
        format: 'int64',
      }),
    ),
    latest: Type.Optional(text(63, { description: 'The version that was made last; absent while there is none.' })),
    versions: Type.Optional(Type.Integer({ description: 'How many versions there are.', minimum: 0, format: 'int32' })),
    conditions: Type.Optional(Conditions),
  },
  { description: 'What is true. Only the operator writes it.' },
);
export type ModelStatus = Static<typeof ModelStatus>;

export const Model = defineKind({
  kind: 'Model',
  shortNames: ['mdl'],
  description: 'A name in the registry, and the aliases that stand for its versions.',
  spec: ModelSpec,
  status: ModelStatus,
  rules: [],
  printerColumns: [
    {
      name: 'Champion',
      type: 'string',
      jsonPath: '.spec.aliases.champion',
      description: 'Version of the alias champion.',
    },
    { name: 'Latest', type: 'string', jsonPath: '.status.latest', description: 'The version that was made last.' },
    { name: 'Versions', type: 'integer', jsonPath: '.status.versions', description: 'How many versions there are.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was made.' },
  ],
});
export type Model = ObjectOf<typeof Model>;
