import Type, { type Static } from 'typebox';
import { cel, intOrString, text } from '../schema.ts';
import { AnalyseNames, Analysis } from './analysis.ts';
import { DURATION_PATTERN, duration } from './duration.ts';
import { PERCENTAGE_PATTERN } from './percentage.ts';

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

/** A hold that only a person ends. */
export const UNTIL_PROMOTED = 'UntilPromoted';

export const RolloutStep = Type.Object(
  {
    smoke: Type.Optional(
      Type.Object(
        {},
        {
          description:
            "Pods of the new revision start and answer the model's examples, as many as the step after it needs. Users notice nothing.",
        },
      ),
    ),
    mirror: Type.Optional(
      text(16, {
        description:
          'Share of the requests that are also sent to the new revision, whose answers are compared and thrown away, such as 10%.',
        ...cel({
          rule: `self.matches('${PERCENTAGE_PATTERN}') && !self.matches('^0+([.]0+)?%$')`,
          message: 'must be a percentage above 0% and up to 100%',
        }),
      }),
    ),
    weight: Type.Optional(
      Type.Integer({
        description: 'Share of the requests that the new revision answers, in percent, 1 to 100.',
        minimum: 1,
        maximum: 100,
        format: 'int32',
      }),
    ),
    hold: Type.Optional(
      text(32, {
        description:
          'How long the step lasts at least, once every router applies it: a duration from 0s to 720h, or UntilPromoted: ' +
          'until a person promotes it. Default 0s.',
        ...cel({
          rule: `self == '${UNTIL_PROMOTED}' || (self.matches('${DURATION_PATTERN}') && duration(self) <= duration('720h'))`,
          message: 'must be a duration from 0s to 720h, such as 30s, 5m or 1h30m, or UntilPromoted',
        }),
      }),
    ),
    analyse: Type.Optional(AnalyseNames),
  },
  {
    description: 'One step of a rollout: exactly one of smoke, mirror and weight.',
    ...cel(
      {
        rule: '[has(self.smoke), has(self.mirror), has(self.weight)].filter(given, given).size() == 1',
        message: 'exactly one of smoke, mirror and weight must be given',
      },
      {
        rule: '!has(self.smoke) || !has(self.analyse)',
        message: 'analyse goes with mirror and weight: a smoke step has no traffic to judge',
        fieldPath: '.analyse',
      },
    ),
  },
);
export type RolloutStep = Static<typeof RolloutStep>;

export const Capacity = Type.Object(
  {
    mode: Type.Enum(['Auto', 'Surge', 'Swap'], {
      description:
        'Where room for new pods comes from. Auto: beside the old pods where it fits; else one pod is left Pending for ' +
        'provisionTimeout, so that a cluster autoscaler may act; then old pods give way one for one. Surge: never takes ' +
        'an old pod away for a new one. Swap: one for one from the start.',
      default: 'Auto',
    }),
    provisionTimeout: duration(
      { min: '0s', max: '24h' },
      { description: 'How long a pod is left Pending for a cluster autoscaler, 0s to 24h.', default: '3m' },
    ),
  },
  { description: 'What is done where pods of two revisions do not fit side by side.', default: {} },
);
export type Capacity = Static<typeof Capacity>;

const stepped = "self.strategy in ['Canary', 'BlueGreen', 'Shadow']";
const order = 'has(step.smoke) ? 0 : has(step.mirror) ? 1 : 2';
const weights = 'self.steps.filter(step, has(step.weight)).map(step, step.weight)';

/** As in rollout/compile.ts: it says nothing of a revision alone. */
const onlyCompares =
  "has(metric.builtin) && (metric.builtin == 'PredictionDistribution' || (has(metric.maxIncrease) && !has(metric.max)))";

export const Rollout = Type.Object(
  {
    strategy: Type.Enum(['Rolling', 'Recreate', 'Canary', 'BlueGreen', 'Shadow'], {
      description:
        'Rolling replaces pods step by step, new before old. Recreate ends all old pods first, for models that cannot run ' +
        'twice. Canary gives the new revision a growing share of the requests and judges it. BlueGreen starts it in full ' +
        'and switches at once. Shadow sends it copies of requests until a person promotes it.',
      default: 'Rolling',
    }),
    steps: Type.Optional(
      Type.Array(RolloutStep, {
        description:
          'Steps that lead to all of the traffic, which is always the end. Default: of Canary a smoke step, weights 10 and ' +
          '25 for 5m each, and 50 for 10m; of BlueGreen a smoke step; of Shadow a smoke step and a mirror of 10% until a ' +
          'person promotes it.',
        minItems: 1,
        maxItems: 16,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    analysis: Type.Optional(Analysis),
    capacity: Capacity,
    keepPrevious: Type.Optional(
      duration(
        { min: '0s', max: '720h' },
        {
          description:
            'How long the revision before keeps its pods after all of the traffic has left it, for an instant return. With ' +
            'Canary, BlueGreen and Shadow. Default 10m with BlueGreen, else 0s.',
        },
      ),
    ),
    progressDeadline: duration(
      { min: '10s', max: '720h' },
      {
        description:
          'How long pods of a new revision that have room may take to become ready before the rollout is taken back. With ' +
          'Canary, BlueGreen and Shadow; 10s to 720h.',
        default: '10m',
      },
    ),
    maxSurge: Type.Optional(
      podCount('Pods above the wanted number during a Rolling update, as a number or a percentage. Default 25%.'),
    ),
    maxUnavailable: Type.Optional(
      podCount(
        'Pods below the wanted number during a Rolling update, and where pods give way one for one, as a number or a ' +
          'percentage. Default 0; 0 is 1 of several pods where they give way (capacity.mode: Surge takes none away).',
      ),
    ),
  },
  {
    description: 'How a new revision takes over from the old one.',
    default: {},
    ...cel(
      {
        rule: "self.strategy == 'Rolling' || !has(self.maxSurge)",
        message: 'maxSurge goes with strategy: Rolling only',
        fieldPath: '.maxSurge',
      },
      {
        rule: "self.strategy != 'Recreate' || !has(self.maxUnavailable)",
        message: 'maxUnavailable does not go with strategy: Recreate, which ends all pods',
        fieldPath: '.maxUnavailable',
      },
      {
        rule: `!has(self.maxSurge) || !${isZero('maxSurge')} || (has(self.maxUnavailable) && !${isZero('maxUnavailable')})`,
        message: 'maxSurge and maxUnavailable must not both be 0 (the default of maxUnavailable is 0)',
        fieldPath: '.maxSurge',
      },
      {
        rule: `${stepped} || !has(self.steps)`,
        message: 'steps go with strategy: Canary, BlueGreen or Shadow only',
        fieldPath: '.steps',
      },
      {
        rule: `${stepped} || !has(self.analysis)`,
        message: 'analysis goes with strategy: Canary, BlueGreen or Shadow only',
        fieldPath: '.analysis',
      },
      {
        rule: `${stepped} || !has(self.keepPrevious)`,
        message: 'keepPrevious goes with strategy: Canary, BlueGreen or Shadow only',
        fieldPath: '.keepPrevious',
      },
      {
        rule: `!has(self.steps) || self.steps.map(step, ${order}).isSorted()`,
        message: 'steps must come in this order: smoke, then mirror, then weight',
        fieldPath: '.steps',
      },
      {
        rule: `!has(self.steps) || (${weights}.isSorted() && ${weights}.all(weight, ${weights}.exists_one(other, other == weight)))`,
        message: 'the weights of steps must ascend, each above the one before',
        fieldPath: '.steps',
      },
      {
        rule: `self.strategy != 'BlueGreen' || !has(self.steps) || ${weights}.all(weight, weight == 100)`,
        message: 'BlueGreen switches at once: weight must be 100; for a growing share take strategy: Canary',
        fieldPath: '.steps',
      },
      {
        rule: `self.strategy != 'Shadow' || !has(self.steps) || !self.steps.exists(step, has(step.weight))`,
        message: 'steps of Shadow have no weight; for a growing share take strategy: Canary',
        fieldPath: '.steps',
      },
      {
        rule: `self.strategy != 'Shadow' || !has(self.steps) || self.steps.exists(step, has(step.mirror))`,
        message: 'steps of Shadow must have one with mirror',
        fieldPath: '.steps',
      },
      {
        rule:
          '!has(self.steps) || self.steps.all(step, !has(step.analyse) || step.analyse.all(name, has(self.analysis) && ' +
          "has(self.analysis.metrics) ? self.analysis.metrics.exists(metric, metric.name == name) : name in ['errors', 'latency']))",
        message: 'each of analyse must be the name of one of analysis.metrics',
        fieldPath: '.steps',
      },
      {
        rule:
          '!has(self.steps) || !has(self.analysis) || !has(self.analysis.metrics) || self.steps.all(step, has(step.mirror) || ' +
          '!has(step.analyse) || step.analyse.all(name, !self.analysis.metrics.exists(metric, metric.name == name && ' +
          "has(metric.builtin) && metric.builtin == 'Agreement')))",
        message: 'Agreement is measured on mirrored requests: it goes with mirror steps only',
        fieldPath: '.steps',
      },
      {
        rule:
          '!has(self.steps) || self.steps.all(step, !has(step.weight) || step.weight < 100 || !has(step.analyse) || ' +
          'step.analyse.all(name, has(self.analysis) && has(self.analysis.metrics) && ' +
          `!self.analysis.metrics.exists(metric, metric.name == name && !metric.dryRun && (${onlyCompares}))))`,
        message:
          'at weight 100 the stable revision answers nothing to compare with: give the metric a max, take it out of analyse, ' +
          'or judge by it at a smaller weight',
        fieldPath: '.steps',
      },
    ),
  },
);
export type Rollout = Static<typeof Rollout>;
export type RolloutStrategy = Rollout['strategy'];
