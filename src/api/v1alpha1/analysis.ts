import Type, { type Static } from 'typebox';
import { cel, listMap, listSet, text, type ValidationRule } from '../schema.ts';
import { DURATION_PATTERN, duration } from './duration.ts';
import { PERCENTAGE_PATTERN } from './percentage.ts';

/** What a new revision is judged by, on the traffic that it gets or the copies of it. */

export const BUILTIN_METRICS = [
  'ErrorRate',
  'LatencyP50',
  'LatencyP95',
  'LatencyP99',
  'Throughput',
  'PredictionDistribution',
  'Agreement',
] as const;
export type BuiltinMetric = (typeof BUILTIN_METRICS)[number];

/** Any share, also above 100%, as an increase may be. */
const ANY_PERCENTAGE = '^[0-9]+([.][0-9]+)?%$';
const RATE = '^[0-9]+([.][0-9]+)?/s$';

export const METRIC_NAME = '^[a-z]([-a-z0-9]*[a-z0-9])?$';

const metricName = (description: string) =>
  text(63, {
    description,
    minLength: 1,
    ...cel({ rule: `self.matches('${METRIC_NAME}')`, message: 'must be lower-case letters, digits and -' }),
  });

const threshold = (description: string) =>
  text(32, {
    description,
    ...cel({
      rule: `self.matches('${PERCENTAGE_PATTERN}') || self.matches('${DURATION_PATTERN}') || self.matches('${RATE}')`,
      message: 'must be a percentage from 0% to 100%, a duration such as 80ms, or a rate such as 10/s',
    }),
  });

export const MaxIncrease = Type.Object(
  {
    absolute: Type.Optional(
      text(32, {
        description:
          'Added to what the stable revision has: a percentage of ErrorRate (0.5% allows 2.5% where stable has 2%), a ' +
          'duration of a latency. Or `relative`.',
        ...cel({
          rule: `self.matches('${PERCENTAGE_PATTERN}') || self.matches('${DURATION_PATTERN}')`,
          message: 'must be a percentage such as 0.5%, or a duration such as 5ms',
        }),
      }),
    ),
    relative: Type.Optional(
      text(32, {
        description:
          'A percentage of what the stable revision has: 10% allows 22 ms where stable has 20 ms. Or `absolute`.',
        ...cel({ rule: `self.matches('${ANY_PERCENTAGE}')`, message: 'must be a percentage such as 10%' }),
      }),
    ),
  },
  {
    description: 'How much more than the stable revision over the same minutes is allowed.',
    ...cel({
      rule: 'has(self.absolute) != has(self.relative)',
      message: 'exactly one of absolute and relative must be given',
    }),
  },
);
export type MaxIncrease = Static<typeof MaxIncrease>;

export const PrometheusQuery = Type.Object(
  {
    address: text(1024, {
      description: 'URL of the Prometheus server, such as http://prometheus.monitoring:9090. No Secret is read for it.',
      ...cel({
        rule: "self.matches('^https?://[A-Za-z0-9._:-]+(/[^ ?#]*)?$')",
        message: 'must be an http:// or https:// URL without a user name, ? or #',
      }),
    }),
    query: text(4096, {
      description:
        'PromQL. $(canary), $(stable), $(name) and $(namespace) stand for the revisions, the ModelDeployment and its namespace.',
      minLength: 1,
    }),
    timeout: duration(
      { min: '100ms', max: '1m' },
      { description: 'How long an answer may take, 100ms to 1m.', default: '10s' },
    ),
  },
  { description: 'A query that gives `result`: a number, or a list of numbers.' },
);
export type PrometheusQuery = Static<typeof PrometheusQuery>;

const condition = (description: string) => text(1024, { description, minLength: 1 });
const limit = (description: string, options: { default?: number } = {}) =>
  Type.Integer({ description, minimum: 0, maximum: 1000, ...options });

const given = (...fields: readonly string[]) => fields.map((field) => `has(self.${field})`).join(' || ');
const of = (...metrics: readonly BuiltinMetric[]) =>
  metrics.length === 1
    ? `has(self.builtin) && self.builtin == '${metrics.join('')}'`
    : `has(self.builtin) && self.builtin in [${metrics.map((metric) => `'${metric}'`).join(', ')}]`;
// What a threshold may look like at all is said by the rule of its field.
const isPercentage = (field: string) => `self.${field}.endsWith('%')`;
const isRate = (field: string) => `self.${field}.endsWith('/s')`;
const isDuration = (field: string) => `!(${isPercentage(field)} || ${isRate(field)})`;
const LATENCIES = ['LatencyP50', 'LatencyP95', 'LatencyP99'] as const;
const absolute = 'has(self.maxIncrease) && has(self.maxIncrease.absolute)';

/** One built-in metric, the thresholds that it has, and their unit. */
function thresholds(
  metrics: readonly BuiltinMetric[],
  allowed: readonly ('maxIncrease' | 'min' | 'max')[],
  unit: { readonly is: (field: string) => string; readonly name: string },
): ValidationRule[] {
  const names = metrics.length === 1 ? metrics.join('') : 'latencies';
  const foreign = (['maxIncrease', 'min', 'max'] as const).filter((field) => !allowed.includes(field));
  const applies = of(...metrics);
  return [
    {
      rule: `!(${applies}) || ((${given(...allowed)}) && !(${given(...foreign)}))`,
      message: `${names} ${metrics.length === 1 ? 'needs' : 'need'} ${allowed.join(' or ')}, and ${metrics.length === 1 ? 'has' : 'have'} no ${foreign.join(' or ')}`,
    },
    ...(['min', 'max'] as const)
      .filter((field) => allowed.includes(field))
      .map((field) => ({
        rule: `!(${applies}) || !has(self.${field}) || ${unit.is(field)}`,
        message: `${field} of ${names} must be ${unit.name}`,
        fieldPath: `.${field}`,
      })),
    ...(allowed.includes('maxIncrease')
      ? [
          {
            rule: `!(${applies}) || !(${absolute}) || ${unit.is('maxIncrease.absolute')}`,
            message: `maxIncrease.absolute of ${names} must be ${unit.name}`,
            fieldPath: '.maxIncrease.absolute',
          },
        ]
      : []),
  ];
}

const share = { is: isPercentage, name: 'a percentage such as 0.5%' };
const RATE_NUMBER = (field: string) => `double(self.${field}.replace('/s', ''))`;

export const AnalysisMetric = Type.Object(
  {
    name: metricName('Name by which steps choose it: lower-case letters, digits and -.'),
    builtin: Type.Optional(
      Type.Enum([...BUILTIN_METRICS], {
        description:
          'What routers and servers count, per revision. ErrorRate: share of requests that ended in a server error. ' +
          'LatencyP50, P95, P99: to the head of the answer, of requests without an error. Throughput: answers a second. ' +
          "PredictionDistribution: total variation distance of the new revision's predictions from those of the stable one, 0% to 100%. " +
          'Agreement: share of mirrored requests that both answered alike. Or `prometheus`.',
      }),
    ),
    prometheus: Type.Optional(PrometheusQuery),
    maxIncrease: Type.Optional(MaxIncrease),
    min: Type.Optional(
      threshold('Least that is allowed: of Agreement a percentage, of Throughput a rate such as 10/s. A hard limit.'),
    ),
    max: Type.Optional(
      threshold(
        'Most that is allowed: of ErrorRate and PredictionDistribution a percentage, of a latency a duration, of ' +
          'Throughput a rate. A hard limit: a revision that breaks it loses its traffic at once.',
      ),
    ),
    success: Type.Optional(condition('CEL over `result` that holds when all is well. With `prometheus` only.')),
    failure: Type.Optional(condition('CEL over `result` that holds when it is not; it wins. With `prometheus` only.')),
    failureLimit: Type.Optional(limit('Measurements that may fail, with `prometheus`. More is Unhealthy. Default 0.')),
    inconclusiveLimit: Type.Optional(
      limit('Measurements that may be neither, with `prometheus`. More pauses the rollout. Default 0.'),
    ),
    consecutiveErrorLimit: limit(
      'Readings in a row that may fail. More pauses the rollout: what cannot be read is never a pass.',
      { default: 4 },
    ),
    dryRun: Type.Boolean({ description: 'Measured and shown, but without a say.', default: false }),
  },
  {
    description: 'One thing that a new revision is judged by.',
    ...cel(
      {
        rule: 'has(self.builtin) != has(self.prometheus)',
        message: 'exactly one of builtin and prometheus must be given',
      },
      {
        rule: `!has(self.builtin) || !(${given('success', 'failure', 'failureLimit', 'inconclusiveLimit')})`,
        message: 'success, failure, failureLimit and inconclusiveLimit go with prometheus only',
      },
      {
        rule: `!has(self.prometheus) || !(${given('maxIncrease', 'min', 'max')})`,
        message: 'maxIncrease, min and max go with builtin only; say success or failure',
      },
      {
        rule: `!has(self.prometheus) || (${given('success', 'failure')})`,
        message: 'success or failure must be given: without them a query says nothing',
        fieldPath: '.success',
      },
      ...thresholds(['ErrorRate'], ['maxIncrease', 'max'], share),
      ...thresholds(LATENCIES, ['maxIncrease', 'max'], { is: isDuration, name: 'a duration such as 80ms' }),
      ...thresholds(['Throughput'], ['min', 'max'], { is: isRate, name: 'a rate such as 10/s' }),
      ...thresholds(['PredictionDistribution'], ['max'], share),
      ...thresholds(['Agreement'], ['min'], share),
      {
        rule: `!(${of('Agreement')}) || !has(self.min) || !self.min.matches('^100([.]0+)?%$')`,
        message: 'min of Agreement must be below 100%: no number of requests could ever show it',
        fieldPath: '.min',
      },
      {
        rule: `!(${of('ErrorRate', 'PredictionDistribution')}) || !has(self.max) || !self.max.matches('^0+([.]0+)?%$')`,
        message: 'max must be above 0%: no number of requests could ever show it',
        fieldPath: '.max',
      },
      {
        rule: `!(${of('Throughput')} && has(self.min) && has(self.max) && ${isRate('min')} && ${isRate('max')}) || ${RATE_NUMBER('min')} <= ${RATE_NUMBER('max')}`,
        message: 'min must be at most max',
        fieldPath: '.min',
      },
    ),
  },
);
export type AnalysisMetric = Static<typeof AnalysisMetric>;

/** Metrics of an analysis that names none. */
export const DEFAULT_METRICS: readonly AnalysisMetric[] = [
  { name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' }, consecutiveErrorLimit: 4, dryRun: false },
  { name: 'latency', builtin: 'LatencyP99', maxIncrease: { relative: '25%' }, consecutiveErrorLimit: 4, dryRun: false },
];

/** The names of metrics that a step is judged by. */
export const AnalyseNames = Type.Array(
  text(63, { description: "Name of one of the analysis' metrics.", minLength: 1 }),
  {
    description:
      'Metrics of `rollout.analysis` that must say Healthy before the step ends; [] for none. Default: all that the step ' +
      'can measure (Agreement needs a mirror; at weight 100 nothing is compared with the stable revision, and max and min alone count).',
    maxItems: 16,
    ...listSet,
  },
);

export const Analysis = Type.Object(
  {
    metrics: Type.Optional(
      Type.Array(AnalysisMetric, {
        description:
          'What is judged; [] for nothing. Default: errors (ErrorRate, at most 1% more) and latency (LatencyP99, at most ' +
          'a quarter more).',
        maxItems: 16,
        ...listMap('name'),
      }),
    ),
    minRequests: Type.Integer({
      description:
        'Requests that each of the two revisions must have answered before a step is judged, 1 to 1000000000.',
      minimum: 1,
      maximum: 1_000_000_000,
      format: 'int64',
      default: 500,
    }),
    interval: duration(
      { min: '1s', max: '10m' },
      { description: 'Time between two readings, 1s to 10m.', default: '10s' },
    ),
    deadline: duration(
      { min: '1s', max: '720h' },
      {
        description:
          'How long after the beginning of a step its data may be insufficient; then the rollout pauses and says so. 1s to 720h.',
        default: '2h',
      },
    ),
  },
  { description: 'How a new revision is judged while it takes over.' },
);
export type Analysis = Static<typeof Analysis>;
