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

/** Moves that `status.history` keeps; older ones are dropped. */
export const MAX_ALIAS_MOVES = 50;

export const AliasMove = Type.Object(
  {
    alias: text(63, { description: 'The alias.' }),
    from: Type.Optional(text(63, { description: 'The version it stood for; absent where the alias is new.' })),
    to: Type.Optional(text(63, { description: 'The version it stands for; absent where the alias was removed.' })),
    by: Type.Optional(
      text(1024, {
        description:
          'The user who made the move, as the API server knows them; absent where the move was not made by ' +
          '`fairlead alias set` or another client that says so. Where the admission policies are not installed it is ' +
          'what the client said.',
      }),
    ),
    manager: Type.Optional(
      text(128, {
        description:
          'The field manager that wrote the alias, such as kubectl-edit or argocd-controller: a program, which tells ' +
          'the API server its own name.',
      }),
    ),
    time: Type.String({ description: 'When it was written.', format: 'date-time' }),
  },
  { description: 'One move of an alias.' },
);
export type AliasMove = Static<typeof AliasMove>;

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
    aliases: Type.Optional(
      Type.Record(Type.String(), text(63, { description: 'The version.' }), {
        description: 'The aliases as `history` knows them.',
        maxProperties: 64,
      }),
    ),
    history: Type.Optional(
      Type.Array(AliasMove, {
        description:
          `The last ${MAX_ALIAS_MOVES} moves of aliases, newest first. Two moves of an alias between two looks of the ` +
          'operator, which follow each other within moments unless it is down, are one.',
        maxItems: MAX_ALIAS_MOVES,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
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
