import Type, { type Static } from 'typebox';
import { defineKind, type ObjectOf } from '../kind.ts';
import { cel } from '../schema.ts';
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

export const Model = defineKind({
  kind: 'Model',
  shortNames: ['mdl'],
  description: 'A name in the registry, and the aliases that stand for its versions.',
  spec: ModelSpec,
  rules: [],
  printerColumns: [
    {
      name: 'Champion',
      type: 'string',
      jsonPath: '.spec.aliases.champion',
      description: 'Version of the alias champion.',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was made.' },
  ],
});
export type Model = ObjectOf<typeof Model>;
