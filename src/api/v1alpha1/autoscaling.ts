import Type, { type Static } from 'typebox';
import { cel } from '../schema.ts';

/** How the number of pods follows the load. */

export const Autoscaling = Type.Object(
  {
    minReplicas: Type.Integer({ description: 'Pods at least, 1 to 10000.', minimum: 1, maximum: 10_000, default: 2 }),
    maxReplicas: Type.Integer({ description: 'Pods at most, 1 to 10000.', minimum: 1, maximum: 10_000, default: 10 }),
    cpu: Type.Integer({
      description: 'CPU use to aim at, in percent of the request, 1 to 1000.',
      minimum: 1,
      maximum: 1000,
      default: 70,
    }),
    memory: Type.Optional(
      Type.Integer({
        description:
          'Memory use to aim at, in percent of the request, 1 to 1000. Default 80, but none where pods have a GPU, no ' +
          'memory request, or one below 256Mi, most of which an idle pod fills.',
        minimum: 1,
        maximum: 1000,
      }),
    ),
    inFlight: Type.Optional(
      Type.Integer({
        description:
          'Requests that one pod is to have at a time, with its share of those that wait, 1 to 100000. What routers count ' +
          'raises the minimum of pods, up to maxReplicas, and lets it go after five minutes. Needs routers. Default: none.',
        minimum: 1,
        maximum: 100_000,
      }),
    ),
  },
  {
    description: 'Lets a HorizontalPodAutoscaler choose the number of pods. Excludes `replicas`.',
    ...cel({
      rule: 'self.minReplicas <= self.maxReplicas',
      message: 'minReplicas must be at most maxReplicas',
      messageExpression:
        "'minReplicas (%d) must be at most maxReplicas (%d)'.format([self.minReplicas, self.maxReplicas])",
      fieldPath: '.minReplicas',
    }),
  },
);
export type Autoscaling = Static<typeof Autoscaling>;
