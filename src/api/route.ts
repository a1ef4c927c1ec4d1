import Type, { type Static } from 'typebox';

/**
 * Where the routers of a namespace send the requests of one ModelDeployment: the contract between the operator, which
 * writes it as JSON into the ConfigMap `<name>-route` under `ROUTE_KEY`, and `fairlead router`, which checks it before
 * it applies it. A route that a router refuses leaves the one before in force, and the router says why.
 */

export const ROUTE_KEY = 'route.json';

const revision = Type.String({ minLength: 1, maxLength: 253 });
/** Of routers, which may not listen below. */
const port = Type.Integer({ minimum: 1024, maximum: 65_535 });
/** Of pods: a container of the user's own may have any. */
const podPort = Type.Integer({ minimum: 1, maximum: 65_535 });
const strict = { additionalProperties: false };

/** One revision that can answer. Its endpoints are those of the headless Service of the same name. */
export const Backend = Type.Object(
  {
    revision,
    /** Share of the requests, in percent. All weights add up to 100, or are all 0: then only `match` reaches anything. */
    weight: Type.Integer({ minimum: 0, maximum: 100 }),
    /** Ports of its pods; grpc is absent where its server speaks none. */
    ports: Type.Object({ http: podPort, grpc: Type.Optional(podPort) }, strict),
  },
  strict,
);
export type Backend = Static<typeof Backend>;

/** Where the unit is found by which requests stick to a revision. gRPC metadata are headers. */
export const UnitSource = Type.Object(
  {
    kind: Type.Enum(['Header', 'Cookie']),
    name: Type.String({ minLength: 1, maxLength: 128 }),
  },
  strict,
);
export type UnitSource = Static<typeof UnitSource>;

export const HeaderMatch = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: 128 }), value: Type.String({ maxLength: 1024 }), revision },
  strict,
);
export type HeaderMatch = Static<typeof HeaderMatch>;

/** Where a request goes, in this namespace: a revision of this ModelDeployment, or another ModelDeployment. */
export const Destination = Type.Union([
  Type.Object({ revision }, strict),
  Type.Object(
    {
      modelDeployment: revision,
      /** Under which its servers know its model: requests are sent on with it. Absent: with the name that the client gave. */
      modelName: Type.Optional(Type.String({ minLength: 1, maxLength: 253 })),
    },
    strict,
  ),
]);
export type Destination = Static<typeof Destination>;

export const Route = Type.Object(
  {
    /** Grows with every change of the rest. Routers acknowledge by it. */
    generation: Type.Integer({ minimum: 1 }),
    modelDeployment: Type.String({ minLength: 1, maxLength: 63 }),
    /** Where every router listens for this ModelDeployment. */
    ports: Type.Object({ http: port, grpc: Type.Optional(port) }, strict),
    /** The first one takes the lowest hashes: a rollout puts the canary first, so that users only move into it as its weight grows. */
    backends: Type.Array(Backend, { minItems: 1, maxItems: 16 }),
    sticky: Type.Optional(
      Type.Object(
        {
          source: UnitSource,
          /** Separates the hashes of this ModelDeployment from those of others. Never changes. */
          seed: Type.String({ minLength: 1, maxLength: 253 }),
        },
        strict,
      ),
    ),
    /** The first that matches decides, before weights do. A revision without an endpoint is passed over. */
    match: Type.Optional(Type.Array(HeaderMatch, { maxItems: 16 })),
    /** Copies of requests, whose responses are compared with the answers that users get and thrown away. */
    mirror: Type.Optional(
      Type.Object(
        {
          revision,
          /** Share of the requests that are copied, in percent; fractions allowed. */
          percent: Type.Number({ exclusiveMinimum: 0, maximum: 100 }),
          /** Largest difference of two numbers that agree: absolute, and relative to the larger one. */
          tolerance: Type.Number({ minimum: 0 }),
        },
        strict,
      ),
    ),
    /** Who answers when the chosen revision errs (5xx, no endpoint, a broken connection) or takes too long. */
    fallback: Type.Optional(
      Type.Object({ to: Destination, afterMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 600_000 })) }, strict),
    ),
    /** Every member answers; the answers become one. Excludes weights (all are 0), mirror and fallback. */
    ensemble: Type.Optional(
      Type.Object(
        {
          members: Type.Array(
            Type.Object({ to: Destination, weight: Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 }) }, strict),
            { minItems: 2, maxItems: 8 },
          ),
          /** Average: weighted mean of numeric outputs. Vote: the label with the most weight, of integer and text outputs. */
          combine: Type.Enum(['Average', 'Vote']),
        },
        strict,
      ),
    ),
    limits: Type.Object(
      {
        /** Largest request body, in bytes; more is answered 413. */
        maxBodyBytes: Type.Integer({ minimum: 1 }),
        /** Requests that may wait for an endpoint at each router; more are answered 429. */
        maxQueue: Type.Integer({ minimum: 0 }),
        /** Requests in flight to one endpoint from each router, before more wait. */
        maxInFlight: Type.Integer({ minimum: 1 }),
        /** From the whole head of a request to the head of its answer; then 504. A client's own deadline counts where it is shorter. */
        timeoutMs: Type.Integer({ minimum: 1 }),
      },
      strict,
    ),
  },
  strict,
);
export type Route = Static<typeof Route>;
