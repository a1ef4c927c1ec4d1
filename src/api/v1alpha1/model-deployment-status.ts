import Type, { type Static } from 'typebox';
import { text } from '../schema.ts';
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
        },
        { description: 'Where clients reach the model.' },
      ),
    ),
    model: Type.Optional(
      Type.Object(
        {
          version: Type.Optional(text(63, { description: 'Version, where the registry knows one.' })),
          uri: Type.Optional(text(2048, { description: 'Where its bytes come from.' })),
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
          verdict: Type.Optional(
            text(64, { description: 'What the analysis of the new revision says; absent where none is made.' }),
          ),
          message: Type.Optional(text(4096, { description: 'What it is doing or waiting for, with the numbers.' })),
        },
        { description: 'The change under way; absent when there is none.' },
      ),
    ),
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
