import Type, { type Static } from 'typebox';
import { cel, intOrString, listSet, stringMap, text } from '../schema.ts';

/** CPU, memory and accelerators of a pod. */

export const GPU_RESOURCE = 'nvidia.com/gpu';
export const MIG_RESOURCE_PREFIX = 'nvidia.com/mig-';

const Quantity = intOrString({
  description: 'A Kubernetes quantity, such as 500m, 2 or 1Gi.',
  ...cel({
    rule: "isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0",
    message: 'must be a Kubernetes quantity that is not negative, such as 500m, 2 or 1Gi',
  }),
});

const quantities = (description: string) => Type.Record(Type.String(), Quantity, { description, maxProperties: 16 });

export const ComputeResources = Type.Object(
  {
    requests: Type.Optional(
      quantities('What a pod is promised, by resource: cpu, memory, ephemeral-storage. Default: the limits.'),
    ),
    limits: Type.Optional(
      quantities('What a pod may use at most, by resource; nvidia.com/gpu is named here. Default: no limit.'),
    ),
  },
  {
    description: 'CPU, memory and GPUs of each pod.',
    ...cel(
      {
        rule: `!has(self.requests) || !('${GPU_RESOURCE}' in self.requests)`,
        message: `${GPU_RESOURCE} belongs into resources.limits; the request follows from it`,
        fieldPath: '.requests',
      },
      {
        rule:
          '!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || ' +
          '!isQuantity(string(self.requests[name])) || !isQuantity(string(self.limits[name])) || ' +
          'quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)',
        message: 'each of resources.requests must be at most the same of resources.limits',
        fieldPath: '.requests',
      },
      {
        rule: `!has(self.limits) || !self.limits.exists(name, name.startsWith('${MIG_RESOURCE_PREFIX}'))`,
        message: 'MIG devices are asked for by accelerator.mig, not by resources.limits',
        fieldPath: '.limits',
      },
    ),
  },
);
export type ComputeResources = Static<typeof ComputeResources>;

export const Accelerator = Type.Object(
  {
    product: Type.Optional(
      Type.Array(text(63, { description: 'One product, such as NVIDIA-H100.', minLength: 1 }), {
        description: 'Products that will do, as the node label nvidia.com/gpu.product names them. Default: any.',
        minItems: 1,
        maxItems: 16,
        ...listSet,
      }),
    ),
    mig: Type.Optional(
      text(32, {
        description: 'One MIG device of this profile a pod, such as 1g.18gb. Excludes nvidia.com/gpu.',
        ...cel({
          rule: "self.matches('^[1-7]g[.][0-9]+gb([.]me)?$')",
          message: 'must be a MIG profile such as 1g.18gb',
        }),
      }),
    ),
    nodeSelector: Type.Optional(stringMap({ description: 'Further labels of the nodes that have the accelerator.' })),
  },
  { description: 'Which GPUs will do. How many is said by nvidia.com/gpu in resources.limits, or by mig.' },
);
export type Accelerator = Static<typeof Accelerator>;
