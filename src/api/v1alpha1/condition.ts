import Type, { type Static } from 'typebox';
import { listMap, text } from '../schema.ts';

/** Kubernetes' own condition: positive, stable, one a type. */
export const Condition = Type.Object(
  {
    type: text(63, { description: 'What the condition is about, such as Ready.', minLength: 1 }),
    status: Type.Enum(['True', 'False', 'Unknown'], { description: 'Whether it holds.' }),
    reason: text(128, {
      description: 'One CamelCase word that says why.',
      minLength: 1,
      pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$',
    }),
    message: text(32768, { description: 'What a person should know, with the numbers.' }),
    lastTransitionTime: Type.String({ description: 'When `status` last changed.', format: 'date-time' }),
    observedGeneration: Type.Optional(
      Type.Integer({ description: 'The generation of the spec that it speaks of.', minimum: 0, format: 'int64' }),
    ),
  },
  { description: 'One aspect of the state of the object.' },
);
export type Condition = Static<typeof Condition>;

export const Conditions = Type.Array(Condition, {
  description: 'The state of the object, one condition a type.',
  maxItems: 16,
  ...listMap('type'),
});
