import Type, { type Static } from 'typebox';
import { listMap, text } from '../schema.ts';
import { Conditions } from './condition.ts';

/** What is true of a ModelDeployment; only the operator writes it. */

export const Phase = Type.Enum(['Pending', 'Progressing', 'Paused', 'Ready', 'RolledBack', 'Failed'], {
  description:
    'The conditions in a word: Pending (nothing serves yet), Progressing (a change is under way), Paused (it waits ' +
    'for a person), Ready (the wanted model has all of the traffic), RolledBack (an earlier one has), Failed ' +
    '(it cannot go on without a change).',
});
export type Phase = Static<typeof Phase>;

const count = (description: string) => Type.Integer({ description, minimum: 0, format: 'int32' });

const revisionFields = {
  revision: text(253, { description: 'Name of the revision: that of its Deployment.' }),
  version: Type.Optional(text(63, { description: 'Version of the model, where the registry knows one.' })),
  replicas: count('Pods that it should have.'),
  ready: count('Pods of it that are ready: each has answered a real inference.'),
};

export const StableRevision = Type.Object(revisionFields, {
  description: 'The revision that holds the traffic.',
});
export type StableRevision = Static<typeof StableRevision>;

export const CanaryRevision = Type.Object(
  {
    ...revisionFields,
    weight: Type.Optional(
      Type.Integer({ description: 'Share of the traffic that reaches it, in percent.', minimum: 0, maximum: 100 }),
    ),
  },
  { description: 'The revision that is taking over; absent when none is.' },
);
export type CanaryRevision = Static<typeof CanaryRevision>;

const shown = (description: string) => Type.Optional(text(64, { description }));

export const VERDICTS = ['Healthy', 'Unhealthy', 'InsufficientData', 'Inconclusive', 'Error'] as const;

export const MetricResult = Type.Object(
  {
    name: text(63, { description: 'Name of the metric.' }),
    verdict: Type.Enum([...VERDICTS], {
      description:
        'Healthy: shown to be within the threshold. Unhealthy: shown to be beyond it. InsufficientData: neither yet. ' +
        'Inconclusive: a query whose conditions both did not hold. Error: it could not be read.',
    }),
    canary: shown('What the new revision has.'),
    stable: shown('What the stable revision has over the same minutes.'),
    bounds: shown('Between what the difference lies, or the value where nothing is compared.'),
    threshold: shown('What is allowed.'),
    message: Type.Optional(text(512, { description: 'The arithmetic of the verdict.' })),
    dryRun: Type.Optional(Type.Boolean({ description: 'It has no say.' })),
  },
  { description: 'What one metric of the step under way says.' },
);
export type MetricResult = Static<typeof MetricResult>;

const moment = (description: string) => Type.String({ description, format: 'date-time' });

export const HandledAction = Type.Object(
  {
    action: text(512, { description: 'What was asked for, as the annotation said it.' }),
    by: Type.Optional(text(512, { description: 'Who asked, where the annotation said so.' })),
    at: moment('When it was handled.'),
    result: Type.Enum(['Done', 'Refused'], { description: 'What came of it.' }),
    message: Type.Optional(text(1024, { description: 'Why it was refused, or what it did.' })),
  },
  { description: 'The last action of a person that was handled.' },
);
export type HandledAction = Static<typeof HandledAction>;

export const FailedRevision = Type.Object(
  {
    revision: text(253, { description: 'Name of the revision.' }),
    reason: text(128, { description: 'One CamelCase word that says why.' }),
    message: text(4096, { description: 'Why it was taken back, with the numbers.' }),
    at: moment('When it was taken back.'),
  },
  {
    description:
      'The wanted revision, where it was taken back. It is tried again when spec.rollout changes, or by retry.',
  },
);
export type FailedRevision = Static<typeof FailedRevision>;

export const PAUSE_REASONS = ['Requested', 'InsufficientData', 'Inconclusive', 'AnalysisError'] as const;

export const ModelDeploymentStatus = Type.Object(
  {
    observedGeneration: Type.Optional(
      Type.Integer({
        description: 'The generation of the spec that the status speaks of.',
        minimum: 0,
        format: 'int64',
      }),
    ),
    phase: Type.Optional(Phase),
    address: Type.Optional(
      Type.Object(
        {
          http: Type.Optional(text(512, { description: 'URL for REST, inside the cluster.' })),
          grpc: Type.Optional(text(512, { description: 'Host and port for gRPC, inside the cluster.' })),
          external: Type.Optional(
            Type.Object(
              {
                http: Type.Optional(text(1300, { description: 'URL for REST.' })),
                grpc: Type.Optional(text(512, { description: 'Host and port for gRPC.' })),
              },
              {
                description:
                  'Where clients outside of the cluster reach it by `traffic.expose`, as far as it is known.',
              },
            ),
          ),
        },
        { description: 'Where clients reach the model.' },
      ),
    ),
    model: Type.Optional(
      Type.Object(
        {
          version: Type.Optional(text(63, { description: 'Version, where the registry knows one.' })),
          uri: Type.Optional(
            text(2048, { description: 'Where its bytes come from, without user and query, which may hold secrets.' }),
          ),
          sha256: Type.Optional(text(64, { description: 'Digest of its bytes.' })),
        },
        { description: 'The wanted model, resolved.' },
      ),
    ),
    stable: Type.Optional(StableRevision),
    canary: Type.Optional(CanaryRevision),
    rollout: Type.Optional(
      Type.Object(
        {
          step: Type.Optional(text(32, { description: 'Step under way, of how many, such as 3/4.' })),
          action: Type.Optional(
            text(512, {
              description:
                'What the annotation fairlead.dev/action has to name behind its verb, such as @churn-9c1d#3.',
            }),
          ),
          verdict: Type.Optional(
            text(64, { description: 'What the analysis of the new revision says; absent where none is made.' }),
          ),
          message: Type.Optional(text(4096, { description: 'What it is doing or waiting for, with the numbers.' })),
          paused: Type.Optional(
            Type.Enum([...PAUSE_REASONS], {
              description: 'Why it waits for a person: one asked for it, or the analysis could not decide.',
            }),
          ),
          holdUntil: Type.Optional(moment('When the hold of the step is over, where it has a time.')),
          metrics: Type.Optional(
            Type.Array(MetricResult, {
              description: 'What the analysis of the step says, a metric each.',
              maxItems: 16,
              ...listMap('name'),
            }),
          ),
        },
        { description: 'The change under way; absent when there is none.' },
      ),
    ),
    route: Type.Optional(
      Type.Object(
        {
          generation: Type.Integer({ description: 'Generation of the route.', minimum: 1, format: 'int64' }),
          acknowledged: Type.Boolean({ description: 'Every router applies it, and new connections come by them.' }),
          message: Type.Optional(
            text(1024, { description: 'Which routers do not, and why; or that none is ready yet.' }),
          ),
        },
        { description: 'Where routers send requests; absent where none stand before the pods.' },
      ),
    ),
    failedRevision: Type.Optional(FailedRevision),
    lastHandledAction: Type.Optional(HandledAction),
    replicas: Type.Optional(count('Pods that exist, of all revisions. Read by `kubectl scale` and autoscalers.')),
    readyReplicas: Type.Optional(count('Pods that are ready, of all revisions.')),
    selector: Type.Optional(text(1024, { description: 'Label selector of the pods. Read by autoscalers.' })),
    summary: Type.Optional(
      Type.Object(
        {
          model: Type.Optional(text(512, { description: 'Model and version, such as churn@7.' })),
          replicas: Type.Optional(text(32, { description: 'Ready pods of wanted pods, such as 5/5.' })),
        },
        { description: 'Fields above in the form that `kubectl get` prints; not for programs.' },
      ),
    ),
    conditions: Type.Optional(Conditions),
  },
  { description: 'What is true. Only the operator writes it.' },
);
export type ModelDeploymentStatus = Static<typeof ModelDeploymentStatus>;
