import Type, { type Static } from 'typebox';
import { cel, intOrString } from '../schema.ts';

/** How a new revision takes over. */

const podCount = (description: string) =>
  intOrString({
    description,
    ...cel({
      rule: "type(self) == int ? self >= 0 && self <= 10000 : string(self).matches('^[0-9]{1,3}%$')",
      message: 'must be a number of pods from 0 to 10000, or a percentage such as 25%',
    }),
  });

const isZero = (field: string) => `(self.${field} == 0 || string(self.${field}).matches('^0+%$'))`;

export const Rollout = Type.Object(
  {
    strategy: Type.Enum(['Rolling', 'Recreate'], {
      description:
        'Rolling replaces pods step by step, new before old; Recreate ends all old pods first, for models that cannot ' +
        'run twice.',
      default: 'Rolling',
    }),
    maxSurge: Type.Optional(
      podCount('Pods above the wanted number during a Rolling update, as a number or a percentage. Default 25%.'),
    ),
    maxUnavailable: Type.Optional(
      podCount('Pods below the wanted number during a Rolling update, as a number or a percentage. Default 0.'),
    ),
  },
  {
    description: 'How a new revision takes over from the old one.',
    default: {},
    ...cel(
      {
        rule: "self.strategy == 'Rolling' || !(has(self.maxSurge) || has(self.maxUnavailable))",
        message: 'maxSurge and maxUnavailable go with strategy: Rolling only',
      },
      {
        rule: `!has(self.maxSurge) || !${isZero('maxSurge')} || (has(self.maxUnavailable) && !${isZero('maxUnavailable')})`,
        message: 'maxSurge and maxUnavailable must not both be 0 (the default of maxUnavailable is 0)',
        fieldPath: '.maxSurge',
      },
    ),
  },
);
export type Rollout = Static<typeof Rollout>;

/** By how much a Rolling update may leave the wanted number of pods, as numbers or percentages of it. */
export interface RollingBounds {
  readonly maxSurge: number | string;
  readonly maxUnavailable: number | string;
}

export function rollingBoundsOf(rollout: Rollout): RollingBounds {
  return { maxSurge: rollout.maxSurge ?? '25%', maxUnavailable: rollout.maxUnavailable ?? 0 };
}
