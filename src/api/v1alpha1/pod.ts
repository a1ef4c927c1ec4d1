import type { V1Affinity, V1EnvVarSource, V1Volume } from '@kubernetes/client-node';
import Type, { type Static } from 'typebox';
import { MODEL_ROOT, PVC_ROOT } from '../names.ts';
import { cel, coreType, listMap, stringMap, text } from '../schema.ts';
import { localReference, objectName } from './references.ts';

/** What people need of a pod beyond the model: identity, scheduling, environment, volumes. */

/** Environment variables that the operator sets itself. */
export const RESERVED_VARIABLES = [
  'FAIRLEAD_SERVER_CONFIG',
  'FAIRLEAD_MODEL_PATH',
  'FAIRLEAD_TERMINATION_LOG',
  'POD_NAME',
  'POD_NAMESPACE',
] as const;

/** Volumes whose names start so are the operator's. */
export const RESERVED_VOLUME_PREFIX = 'fairlead-';

/** Where the operator mounts volumes of its own. */
export const RESERVED_MOUNTS = ['/tmp', MODEL_ROOT, PVC_ROOT] as const;

const Toleration = Type.Object(
  {
    key: Type.Optional(text(316, { description: 'Key of the taint. Default: every key, with operator Exists.' })),
    operator: Type.Optional(Type.Enum(['Equal', 'Exists'], { description: 'How value is compared. Default Equal.' })),
    value: Type.Optional(text(63, { description: 'Value of the taint, with operator Equal.' })),
    effect: Type.Optional(
      Type.Enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'], {
        description: 'Effect of the taint. Default: every.',
      }),
    ),
    tolerationSeconds: Type.Optional(
      Type.Integer({ description: 'Seconds that NoExecute is tolerated. Default: for ever.', format: 'int64' }),
    ),
  },
  { description: 'A taint that the pods tolerate (core/v1 Toleration).' },
);

const EnvironmentVariable = Type.Object(
  {
    name: text(256, {
      description: 'Name of the variable.',
      minLength: 1,
      ...cel({
        rule: `!(self in [${RESERVED_VARIABLES.map((name) => `'${name}'`).join(', ')}])`,
        message: `must not be one of ${RESERVED_VARIABLES.join(', ')}, which Fairlead sets`,
      }),
    }),
    value: Type.Optional(text(32_768, { description: 'Its value. Default empty.' })),
    valueFrom: Type.Optional(
      coreType<V1EnvVarSource>('Where its value comes from (core/v1 EnvVarSource), such as a key of a Secret.'),
    ),
  },
  {
    description: 'An environment variable (core/v1 EnvVar).',
    ...cel({
      rule: '!(has(self.value) && has(self.valueFrom))',
      message: 'only one of value and valueFrom may be given',
    }),
  },
);

const Volume = Type.Unsafe<V1Volume>(
  Type.Object(
    {
      name: text(63, {
        description: 'Name of the volume.',
        minLength: 1,
        ...cel({
          rule: `!self.startsWith('${RESERVED_VOLUME_PREFIX}')`,
          message: `must not start with ${RESERVED_VOLUME_PREFIX}, which Fairlead uses`,
        }),
      }),
    },
    { description: 'A volume and its source (core/v1 Volume).', 'x-kubernetes-preserve-unknown-fields': true },
  ),
);

const VolumeMount = Type.Object(
  {
    name: text(63, { description: 'Name of a volume of `volumes`.', minLength: 1 }),
    mountPath: text(1024, {
      description: 'Where the container sees it.',
      ...cel(
        { rule: "self.startsWith('/') && !self.contains(':')", message: 'must be an absolute path without a colon' },
        {
          rule: `!self.matches('^(${RESERVED_MOUNTS.join('|')})(/|$)')`,
          message: `must not be at or below ${RESERVED_MOUNTS.join(', ')}, which Fairlead mounts`,
        },
      ),
    }),
    subPath: Type.Optional(text(1024, { description: 'A path inside the volume. Default: its root.' })),
    readOnly: Type.Optional(Type.Boolean({ description: 'Whether it cannot be written. Default false.' })),
  },
  { description: 'Where a volume is mounted (core/v1 VolumeMount).' },
);

const id = (description: string) => Type.Integer({ description, minimum: 1, maximum: 2_147_483_647, format: 'int64' });

const SecurityContext = Type.Object(
  {
    runAsUser: Type.Optional(id("User of the processes, 1 or above. Default: the image's.")),
    runAsGroup: Type.Optional(id("Group of the processes, 1 or above. Default: the image's.")),
    fsGroup: Type.Optional(id('Group that owns mounted volumes, 1 or above. Default: none.')),
    supplementalGroups: Type.Optional(
      Type.Array(id('One group.'), {
        description: 'Further groups of the processes.',
        maxItems: 32,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
  },
  {
    description:
      'What of the security context may be chosen; the rest is fixed at the Restricted level of the Pod Security Standards.',
  },
);

const ownLabels = (field: string) =>
  cel({
    rule: "!self.exists(key, key.startsWith('fairlead.dev/'))",
    message: `${field} must not start with fairlead.dev/, which Fairlead uses`,
  });

export const Pod = Type.Object(
  {
    serviceAccountName: Type.Optional(
      objectName('ServiceAccount of the pods. Default: one named like the ModelDeployment, made for it.'),
    ),
    imagePullSecrets: Type.Optional(
      Type.Array(localReference('A Secret with credentials for pulling images.'), {
        description: 'Secrets with credentials for pulling images.',
        maxItems: 16,
        ...listMap('name'),
      }),
    ),
    tolerations: Type.Optional(
      Type.Array(Toleration, {
        description: 'Taints that the pods tolerate.',
        maxItems: 64,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    env: Type.Optional(
      Type.Array(EnvironmentVariable, {
        description: "Environment variables of the model's container.",
        maxItems: 128,
        ...listMap('name'),
      }),
    ),
    volumes: Type.Optional(
      Type.Array(Volume, { description: 'Volumes of the pods.', maxItems: 32, ...listMap('name') }),
    ),
    volumeMounts: Type.Optional(
      Type.Array(VolumeMount, {
        description: "Where the model's container sees the volumes.",
        maxItems: 32,
        ...listMap('mountPath'),
      }),
    ),
    affinity: Type.Optional(coreType<V1Affinity>('Scheduling constraints (core/v1 Affinity). Default: none.')),
    nodeSelector: Type.Optional(stringMap({ description: 'Labels that a node must have. Default: none.' })),
    priorityClassName: Type.Optional(objectName("PriorityClass of the pods. Default: the cluster's.")),
    labels: Type.Optional(stringMap({ description: 'Further labels of the pods.', ...ownLabels('labels') })),
    annotations: Type.Optional(
      stringMap({ description: 'Further annotations of the pods.', ...ownLabels('annotations') }),
    ),
    securityContext: Type.Optional(SecurityContext),
  },
  {
    description: 'What the pods need beyond the model.',
    ...cel({
      rule:
        '!has(self.volumeMounts) || self.volumeMounts.all(mount, has(self.volumes) && ' +
        'self.volumes.exists(volume, volume.name == mount.name))',
      message: 'each of volumeMounts must name one of pod.volumes',
      fieldPath: '.volumeMounts',
    }),
  },
);
export type Pod = Static<typeof Pod>;
