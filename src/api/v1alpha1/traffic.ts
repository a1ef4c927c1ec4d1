import Type, { type Static } from 'typebox';
import { cel, listMap, text } from '../schema.ts';
import { duration } from './duration.ts';
import { Expose } from './expose.ts';
import { localReference, objectName } from './references.ts';

/** How requests reach the model: who splits them, who sticks to a revision, who answers where it cannot, who may come from outside. */

const fieldName = (description: string) =>
  text(128, {
    description,
    minLength: 1,
    ...cel({
      rule: "self.matches('^[A-Za-z0-9_-]+$')",
      message: 'must be the name of a header or cookie: letters, digits, - and _',
    }),
  });

export const Sticky = Type.Object(
  {
    header: Type.Optional(fieldName('Name of the header that holds the unit, such as x-user-id.')),
    cookie: Type.Optional(fieldName('Name of the cookie that holds the unit.')),
    metadata: Type.Optional(fieldName('Name of the gRPC metadata that holds the unit. The same as a header.')),
  },
  {
    description:
      'Requests of one unit (a user, say) go to one revision. By a hash, so that every router agrees, also after a restart; ' +
      'while a weight grows units only move to the new revision. Requests without the unit are split at random.',
    ...cel({
      rule: '[has(self.header), has(self.cookie), has(self.metadata)].filter(given, given).size() == 1',
      message: 'exactly one of header, cookie and metadata must be given',
    }),
  },
);
export type Sticky = Static<typeof Sticky>;

export const TrafficMatch = Type.Object(
  {
    header: fieldName('Name of the header, or gRPC metadata, that is looked at.'),
    value: text(1024, { description: 'What it must say, letter for letter.', minLength: 1 }),
    to: Type.Enum(['Canary', 'Stable'], {
      description:
        'Who answers: the revision that is taking over, where there is one with a ready pod, or the stable one.',
    }),
  },
  { description: 'Requests that one revision answers whatever its weight.' },
);
export type TrafficMatch = Static<typeof TrafficMatch>;

export const Fallback = Type.Object(
  {
    to: Type.Optional(
      Type.Enum(['Stable'], {
        description: 'The stable revision answers where the one that is taking over cannot. Or `modelDeploymentRef`.',
      }),
    ),
    modelDeploymentRef: Type.Optional(
      localReference('Another ModelDeployment, in the same namespace, answers. Or `to`.'),
    ),
    after: Type.Optional(
      duration(
        { min: '1ms', max: '10m' },
        {
          description:
            'How long the chosen revision may take from when the router has the whole request, 1ms to 10m; waiting for one of its pods counts. Default: until limits.timeout.',
        },
      ),
    ),
  },
  {
    description:
      'Who answers where the chosen revision errs (5xx, no ready pod, a broken connection) or takes too long. The error still counts.',
    ...cel({
      rule: 'has(self.to) != has(self.modelDeploymentRef)',
      message: 'exactly one of to and modelDeploymentRef must be given',
    }),
  },
);
export type Fallback = Static<typeof Fallback>;

const share = (description: string) =>
  Type.Integer({ description, minimum: 1, maximum: 1_000_000, format: 'int32', default: 1 });

export const Ensemble = Type.Object(
  {
    combine: Type.Enum(['Average', 'Vote'], {
      description: 'Average: weighted mean of numbers. Vote: the label with the most weight, of integers and texts.',
    }),
    weight: share("Weight of this ModelDeployment's own model, 1 to 1000000."),
    members: Type.Array(
      Type.Object(
        {
          name: objectName('Name of a ModelDeployment in the same namespace, with the same inputs and outputs.'),
          weight: share('Its weight, 1 to 1000000.'),
        },
        { description: 'Another model of the ensemble.' },
      ),
      { description: 'The other models.', minItems: 1, maxItems: 7, ...listMap('name') },
    ),
  },
  { description: 'Answers of several models become one: of this one and of all members.' },
);
export type Ensemble = Static<typeof Ensemble>;

export const TrafficLimits = Type.Object(
  {
    maxBodyBytes: Type.Integer({
      description: 'Largest request body, in bytes, 1 to 2147483647. More is answered 413.',
      minimum: 1,
      maximum: 2_147_483_647,
      format: 'int64',
      default: 67_108_864,
    }),
    maxQueue: Type.Integer({
      description: 'Requests that may wait for a pod at each router, 0 to 1000000. More are answered 429.',
      minimum: 0,
      maximum: 1_000_000,
      format: 'int32',
      default: 1_000,
    }),
    maxInFlight: Type.Integer({
      description: 'Requests in flight to one pod from each router before more wait, 1 to 100000.',
      minimum: 1,
      maximum: 100_000,
      format: 'int32',
      default: 256,
    }),
    timeout: duration(
      { min: '1ms', max: '1h' },
      {
        description:
          "How long an answer may take, 1ms to 1h; then 504. A client's own deadline counts where it is shorter.",
        default: '60s',
      },
    ),
  },
  { description: 'What routers let through.' },
);
export type TrafficLimits = Static<typeof TrafficLimits>;

const only = (field: string, why: string) => ({
  rule: `self.provider != 'GatewayAPI' || !has(self.${field})`,
  message: `${field} goes with provider: Router only: ${why}`,
  fieldPath: `.${field}`,
});

export const Traffic = Type.Object(
  {
    provider: Type.Enum(['Router', 'GatewayAPI'], {
      description:
        "Who splits requests. Router: Fairlead's own, one Deployment a namespace. GatewayAPI: the Gateway that " +
        'expose.gateway names, by weights of an HTTPRoute and a GRPCRoute; requests from inside the cluster that go to the ' +
        'Service reach the stable revision only.',
      default: 'Router',
    }),
    sticky: Type.Optional(Sticky),
    match: Type.Optional(
      Type.Array(TrafficMatch, {
        description: 'Requests that go by a header; the first that matches decides, before weights do.',
        maxItems: 16,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    fallback: Type.Optional(Fallback),
    ensemble: Type.Optional(Ensemble),
    expose: Type.Optional(Expose),
    limits: Type.Optional(TrafficLimits),
  },
  {
    description: 'How requests reach the model. Given, routers stand before the pods, whatever the strategy.',
    ...cel(
      only('sticky', 'session persistence of a Gateway keeps users on a revision that was taken back'),
      only('fallback', 'a Gateway has no word for it'),
      only('ensemble', 'a Gateway has no word for it'),
      only('limits', 'a Gateway has its own'),
      {
        rule: "self.provider != 'GatewayAPI' || (has(self.expose) && has(self.expose.gateway))",
        message: 'provider: GatewayAPI needs expose.gateway, which says which Gateway',
        fieldPath: '.expose',
      },
      {
        rule: "self.provider != 'GatewayAPI' || !has(self.expose) || !(has(self.expose.loadBalancer) || has(self.expose.ingress))",
        message:
          'expose.loadBalancer and expose.ingress go with provider: Router only: they would lead past the Gateway that splits',
        fieldPath: '.expose',
      },
      {
        rule: "self.provider != 'GatewayAPI' || !has(self.match) || self.match.size() <= 15",
        message: 'at most 15 of match go with provider: GatewayAPI: a route has 16 rules, and one is for the weights',
        messageExpression:
          "'%d of match are too many for provider: GatewayAPI, at most 15 go: a route has 16 rules, and one is for the weights'.format([self.match.size()])",
        fieldPath: '.match',
      },
      {
        rule: '!has(self.ensemble) || !(has(self.fallback) || has(self.match))',
        message: 'ensemble excludes fallback and match: every member answers every request',
        fieldPath: '.ensemble',
      },
    ),
  },
);
export type Traffic = Static<typeof Traffic>;
