import Type, { type Static } from 'typebox';
import { defineKind, type ObjectOf } from '../kind.ts';
import { REGISTRY_NAME, ROUTER_NAME } from '../names.ts';
import { cel } from '../schema.ts';
import { Autoscaling } from './autoscaling.ts';
import { Accelerator, ComputeResources, GPU_RESOURCE } from './compute.ts';
import { ModelDeploymentStatus } from './model-deployment-status.ts';
import { ModelSource } from './model-source.ts';
import { Pod } from './pod.ts';
import { PredictionLog } from './prediction-log.ts';
import { Rollout } from './rollout.ts';
import { Runtime } from './runtime.ts';
import { Traffic } from './traffic.ts';

const hasGpuLimit = `(has(self.resources) && has(self.resources.limits) && '${GPU_RESOURCE}' in self.resources.limits)`;
const hasMig = '(has(self.accelerator) && has(self.accelerator.mig))';
const hasContainer = '(has(self.runtime) && has(self.runtime.container))';
const stepped = "self.rollout.strategy in ['Canary', 'BlueGreen', 'Shadow']";
const hasEnsemble = '(has(self.traffic) && has(self.traffic.ensemble))';
const isRoutedRule = `(has(self.traffic) ? self.traffic.provider == 'Router' : ${stepped})`;
const requested = (resource: string) =>
  ['requests', 'limits']
    .map((list) => `(has(self.resources) && has(self.resources.${list}) && '${resource}' in self.resources.${list})`)
    .join(' || ');

export const ModelDeploymentSpec = Type.Object(
  {
    model: ModelSource,
    runtime: Type.Optional(Runtime),
    resources: Type.Optional(ComputeResources),
    accelerator: Type.Optional(Accelerator),
    pod: Type.Optional(Pod),
    replicas: Type.Optional(
      Type.Integer({
        description: 'Pods, 0 to 10000. Excludes `autoscaling`. Default 1, where autoscaling is not asked for.',
        minimum: 0,
        maximum: 10_000,
        format: 'int32',
      }),
    ),
    autoscaling: Type.Optional(Autoscaling),
    rollout: Rollout,
    traffic: Type.Optional(Traffic),
    predictionLog: Type.Optional(PredictionLog),
  },
  {
    description: 'What is wanted. Only people and their tools write it.',
    ...cel(
      {
        rule: '!(has(self.replicas) && has(self.autoscaling))',
        message: 'only one of replicas and autoscaling may be given',
      },
      {
        rule: `!(${hasMig} && ${hasGpuLimit})`,
        message: `only one of accelerator.mig and resources.limits["${GPU_RESOURCE}"] may be given`,
      },
      {
        rule: `!(has(self.accelerator) && has(self.accelerator.product)) || ${hasMig} || ${hasGpuLimit}`,
        message: `accelerator.product needs resources.limits["${GPU_RESOURCE}"] or accelerator.mig, which say how much of it`,
      },
      {
        rule: `!has(self.autoscaling) || ${requested('cpu')}`,
        message: 'autoscaling needs resources.requests.cpu: autoscaling.cpu is a percentage of it',
      },
      {
        rule: `!(has(self.autoscaling) && has(self.autoscaling.memory)) || ${requested('memory')}`,
        message: 'autoscaling.memory needs resources.requests.memory: it is a percentage of it',
      },
      {
        rule: `!(has(self.autoscaling) && has(self.autoscaling.inFlight)) || ${isRoutedRule}`,
        message:
          'autoscaling.inFlight needs routers, which count: traffic with provider: Router, or strategy: Canary, BlueGreen or Shadow',
      },
      {
        rule: `!${hasContainer} || !(has(self.predictionLog) || has(self.model.examples))`,
        message: 'predictionLog and model.examples go with runtime.name: onnx only, not with runtime.container',
      },
      {
        rule: `!(${hasEnsemble} && ${stepped})`,
        message:
          'traffic.ensemble excludes strategy: Canary, BlueGreen and Shadow: members answer every request, so that there is no share to give',
      },
      {
        rule: `!(${hasEnsemble} && ${hasContainer}) || self.runtime.container.protocol == 'OpenInference'`,
        message: 'traffic.ensemble needs runtime.container.protocol: OpenInference: other answers cannot be combined',
      },
      {
        rule: `!(has(self.traffic) && self.traffic.provider == 'GatewayAPI') || !has(self.rollout.analysis) || !has(self.rollout.analysis.metrics) || !self.rollout.analysis.metrics.exists(metric, has(metric.builtin) && metric.builtin == 'Agreement')`,
        message: 'the metric Agreement needs traffic.provider: Router: a Gateway throws the answers of a mirror away',
      },
      {
        rule: `!${hasContainer} || !has(self.rollout.analysis) || !has(self.rollout.analysis.metrics) || !self.rollout.analysis.metrics.exists(metric, has(metric.builtin) && metric.builtin == 'PredictionDistribution')`,
        message:
          'the metric PredictionDistribution goes with runtime.name: onnx only: a container of your own does not count its predictions',
      },
    ),
  },
);
export type ModelDeploymentSpec = Static<typeof ModelDeploymentSpec>;

/** Names of objects that every namespace has, or that Fairlead makes once a namespace: a ServiceAccount cannot be both. */
const RESERVED_NAMES = ['default', ROUTER_NAME, REGISTRY_NAME];

/** Whether routers stand before the pods. Otherwise the Service selects pods directly, or a Gateway splits. */
export function isRouted({ rollout, traffic }: Pick<ModelDeploymentSpec, 'rollout' | 'traffic'>): boolean {
  if (traffic !== undefined) return traffic.provider === 'Router';
  return rollout.strategy !== 'Rolling' && rollout.strategy !== 'Recreate';
}

export const ModelDeployment = defineKind({
  kind: 'ModelDeployment',
  shortNames: ['md'],
  description:
    'A model that is served: where it comes from, what runs it, on how many pods, and how new versions take over.',
  spec: ModelDeploymentSpec,
  status: ModelDeploymentStatus,
  rules: [
    {
      // Its Service and the labels of its pods carry the name, the latter with a revision's hash behind it.
      rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 52",
      message:
        'metadata.name must be at most 52 characters: lower-case letters, digits and -, starting with a letter and ' +
        'ending with a letter or digit',
    },
    {
      rule: `!(self.metadata.name in [${RESERVED_NAMES.map((name) => `'${name}'`).join(', ')}])`,
      message: `metadata.name must be another one than ${RESERVED_NAMES.join(', ')}: the namespace has other objects of these names`,
    },
  ],
  printerColumns: [
    {
      name: 'Ready',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: 'Whether the wanted model has all of the traffic.',
    },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'The conditions in a word.' },
    { name: 'Model', type: 'string', jsonPath: '.status.summary.model', description: 'The wanted model and version.' },
    { name: 'Step', type: 'string', jsonPath: '.status.rollout.step', description: 'Step of the change under way.' },
    {
      name: 'Weight',
      type: 'integer',
      jsonPath: '.status.canary.weight',
      description: 'Share of the traffic on the new revision, in percent.',
    },
    {
      name: 'Verdict',
      type: 'string',
      jsonPath: '.status.rollout.verdict',
      description: 'What the analysis of the new revision says.',
    },
    { name: 'Replicas', type: 'string', jsonPath: '.status.summary.replicas', description: 'Ready of wanted pods.' },
    { name: 'URL', type: 'string', jsonPath: '.status.address.http', description: 'Where clients reach the model.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was made.' },
  ],
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas',
    labelSelectorPath: '.status.selector',
  },
});
export type ModelDeployment = ObjectOf<typeof ModelDeployment>;
