import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { type ApiServer, connect } from '../testing/api-server.ts';
import { manifest, type Spec } from '../testing/manifests.ts';
import { ModelDeployment } from './model-deployment.ts';

let api: ApiServer;
beforeAll(async () => {
  api = await connect(ownKubeconfig());
});
afterAll(() => api.dispose());

const rollout = (fields: Spec): Spec => ({ rollout: { strategy: 'Canary', ...fields } });
const steps = (...list: Spec[]): Spec => rollout({ steps: list });
const metrics = (...list: Spec[]): Spec => rollout({ analysis: { metrics: list } });
const metric = (fields: Spec): Spec => metrics({ name: 'm', ...fields });
const allOf = (...analyse: string[]): Spec => ({ weight: 100, analyse });
const query = { address: 'http://prometheus.monitoring:9090', query: 'up' };
const ensemble = { combine: 'Vote', members: [{ name: 'other' }] };
const gateway = { provider: 'GatewayAPI', expose: { gateway: { name: 'public' } } };

describe('the API server accepts', () => {
  test.each<[string, Spec]>([
    ['every strategy alone', rollout({})],
    ['BlueGreen alone', { rollout: { strategy: 'BlueGreen', keepPrevious: '1h' } }],
    ['Shadow alone', { rollout: { strategy: 'Shadow' } }],
    [
      'the rollout of the documentation',
      rollout({
        steps: [
          { smoke: {} },
          { mirror: '10%', hold: '10m', analyse: ['agreement'] },
          { weight: 10, hold: '5m' },
          { weight: 50, hold: '10m' },
        ],
        analysis: {
          metrics: [
            { name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '0.5%' } },
            { name: 'latency', builtin: 'LatencyP99', maxIncrease: { relative: '10%' } },
            { name: 'agreement', builtin: 'Agreement', min: '98%' },
            { name: 'revenue', prometheus: query, success: 'result >= 0.98', failureLimit: 2 },
          ],
          minRequests: 500,
          deadline: '2h',
        },
        capacity: { mode: 'Auto', provisionTimeout: '3m' },
      }),
    ],
    ['a hold until a person promotes', steps({ weight: 10, hold: 'UntilPromoted' })],
    ['all of the traffic as a step', steps({ weight: 50 }, { weight: 100, hold: '1h' })],
    [
      'all of the traffic, judged by what needs no stable revision',
      rollout({
        steps: [{ weight: 50 }, allOf('limit', 'both', 'rate', 'revenue', 'shown')],
        analysis: {
          metrics: [
            { name: 'limit', builtin: 'LatencyP99', max: '80ms' },
            { name: 'both', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' }, max: '5%' },
            { name: 'rate', builtin: 'Throughput', min: '1/s' },
            { name: 'revenue', prometheus: query, success: 'true' },
            { name: 'shown', builtin: 'PredictionDistribution', max: '10%', dryRun: true },
          ],
        },
      }),
    ],
    ['all of the traffic, judged by nothing', steps(allOf())],
    ['the default metrics by their names', steps({ weight: 10, analyse: ['errors', 'latency'] })],
    ['no metrics', rollout({ steps: [{ weight: 10, analyse: [] }], analysis: { metrics: [] } })],
    ['no increase at all', metric({ builtin: 'ErrorRate', maxIncrease: { absolute: '0%' } })],
    ['an increase above 100%', metric({ builtin: 'LatencyP99', maxIncrease: { relative: '150%' }, dryRun: true })],
    ['both limits of a rate', metric({ builtin: 'Throughput', min: '0.5/s', max: '100/s' })],
    ['a distance of predictions', metric({ builtin: 'PredictionDistribution', max: '10%' })],
    ['pods that give way one for one', rollout({ maxUnavailable: 1, capacity: { mode: 'Swap' } })],
    ['traffic without anything', { traffic: {} }],
    [
      'traffic with everything that goes together',
      {
        traffic: {
          sticky: { header: 'x-user-id' },
          match: [{ header: 'x-canary', value: 'always', to: 'Canary' }],
          fallback: { modelDeploymentRef: { name: 'rules' }, after: '200ms' },
          limits: { maxQueue: 0 },
        },
      },
    ],
    ['an ensemble', { traffic: { ensemble } }],
    ['a Gateway', { ...rollout({}), traffic: gateway }],
    ['a canary of no replicas', { ...rollout({}), replicas: 0 }],
  ])('%s', async (_title, spec) => {
    await expect(api.preview(ModelDeployment, manifest(spec))).resolves.toBeDefined();
  });
});

describe('the API server refuses', () => {
  test.each<[string, Spec, string]>([
    [
      'weights that do not ascend',
      steps({ weight: 10 }, { weight: 50 }, { weight: 25 }),
      'spec.rollout.steps: Invalid value: the weights of steps must ascend, each above the one before',
    ],
    ['one weight twice', steps({ weight: 10 }, { weight: 10 }), 'the weights of steps must ascend'],
    ['a weight above 100', steps({ weight: 101 }), 'spec.rollout.steps[0].weight: Invalid value: 101'],
    ['a weight of 0', steps({ weight: 0 }), 'spec.rollout.steps[0].weight: Invalid value: 0'],
    [
      'a mirror of nothing',
      steps({ mirror: '0%' }),
      'spec.rollout.steps[0].mirror: Invalid value: must be a percentage above 0%',
    ],
    [
      'a mirror of more than all',
      steps({ mirror: '101%' }),
      'spec.rollout.steps[0].mirror: Invalid value: must be a percentage above 0%',
    ],
    ['no step', steps(), 'spec.rollout.steps in body should have at least 1 items'],
    [
      'a step that does nothing',
      steps({ hold: '5m' }),
      'spec.rollout.steps[0]: Invalid value: exactly one of smoke, mirror and weight',
    ],
    ['a step that does two things', steps({ mirror: '1%', weight: 1 }), 'exactly one of smoke, mirror and weight'],
    [
      'a mirror after a weight',
      steps({ weight: 10 }, { mirror: '1%' }),
      'spec.rollout.steps: Invalid value: steps must come in this order',
    ],
    [
      'a hold that is no time',
      steps({ weight: 10, hold: 'Person' }),
      'spec.rollout.steps[0].hold: Invalid value: must be a duration from 0s to 720h',
    ],
    ['a smoke step that is judged', steps({ smoke: {}, analyse: ['errors'] }), 'spec.rollout.steps[0].analyse'],
    [
      'an unknown metric',
      rollout({ steps: [{ weight: 10, analyse: ['revenue'] }] }),
      'spec.rollout.steps: Invalid value: each of analyse must be the name of one of analysis.metrics',
    ],
    [
      'a default metric where others are given',
      rollout({
        steps: [{ weight: 10, analyse: ['errors'] }],
        analysis: { metrics: [{ name: 'm', builtin: 'ErrorRate', max: '1%' }] },
      }),
      'each of analyse must be the name of one of analysis.metrics',
    ],
    [
      'agreement without a mirror',
      rollout({
        steps: [{ weight: 10, analyse: ['m'] }],
        analysis: { metrics: [{ name: 'm', builtin: 'Agreement', min: '98%' }] },
      }),
      'Agreement is measured on mirrored requests',
    ],
    [
      'all of the traffic, judged by the default metrics, which compare',
      { rollout: { strategy: 'BlueGreen', steps: [allOf('errors')] } },
      'spec.rollout.steps: Invalid value: at weight 100 the stable revision answers nothing to compare with',
    ],
    [
      'all of the traffic, judged by an increase',
      rollout({
        steps: [{ weight: 10 }, allOf('rate', 'm')],
        analysis: {
          metrics: [
            { name: 'rate', builtin: 'Throughput', min: '1/s' },
            { name: 'm', builtin: 'LatencyP99', maxIncrease: { relative: '10%' } },
          ],
        },
      }),
      'give the metric a max, take it out of analyse, or judge by it at a smaller weight',
    ],
    [
      'all of the traffic, judged by how predictions differ',
      rollout({
        steps: [allOf('m')],
        analysis: { metrics: [{ name: 'm', builtin: 'PredictionDistribution', max: '10%' }] },
      }),
      'at weight 100 the stable revision answers nothing to compare with',
    ],
    [
      'an unknown built-in metric',
      metric({ builtin: 'Accuracy', min: '1%' }),
      'spec.rollout.analysis.metrics[0].builtin: Unsupported value: "Accuracy"',
    ],
    [
      'a metric of nothing',
      metric({}),
      'spec.rollout.analysis.metrics[0]: Invalid value: exactly one of builtin and prometheus',
    ],
    [
      'a metric twice',
      metrics({ name: 'm', builtin: 'ErrorRate', max: '1%' }, { name: 'm', builtin: 'ErrorRate', max: '2%' }),
      'Duplicate value',
    ],
    [
      'a metric without a threshold',
      metric({ builtin: 'ErrorRate' }),
      'ErrorRate needs maxIncrease or max, and has no min',
    ],
    [
      'a threshold that does not go with its metric',
      metric({ builtin: 'ErrorRate', min: '1%' }),
      'ErrorRate needs maxIncrease or max, and has no min',
    ],
    [
      'a latency in percent',
      metric({ builtin: 'LatencyP99', max: '10%' }),
      'metrics[0].max: Invalid value: max of latencies must be a duration',
    ],
    [
      'an error rate in milliseconds',
      metric({ builtin: 'ErrorRate', maxIncrease: { absolute: '5ms' } }),
      'metrics[0].maxIncrease.absolute: Invalid value: maxIncrease.absolute of ErrorRate must be a percentage',
    ],
    [
      'an increase said twice',
      metric({ builtin: 'ErrorRate', maxIncrease: { absolute: '1%', relative: '1%' } }),
      'exactly one of absolute and relative',
    ],
    [
      'a negative increase',
      metric({ builtin: 'ErrorRate', maxIncrease: { relative: '-1%' } }),
      'must be a percentage such as 10%',
    ],
    [
      'an agreement that cannot be shown',
      metric({ builtin: 'Agreement', min: '100%' }),
      'min of Agreement must be below 100%',
    ],
    ['a largest error rate of nothing', metric({ builtin: 'ErrorRate', max: '0%' }), 'max must be above 0%'],
    [
      'limits the wrong way round',
      metric({ builtin: 'Throughput', min: '10/s', max: '9.5/s' }),
      'metrics[0].min: Invalid value: min must be at most max',
    ],
    ['a query that is never judged', metric({ prometheus: query }), 'success or failure must be given'],
    [
      'a condition on a built-in metric',
      metric({ builtin: 'ErrorRate', max: '1%', success: 'true' }),
      'go with prometheus only',
    ],
    ['a threshold on a query', metric({ prometheus: query, success: 'true', max: '1%' }), 'go with builtin only'],
    [
      'credentials in an address',
      metric({ prometheus: { ...query, address: 'http://a:b@prometheus' }, success: 'true' }),
      'prometheus.address: Invalid value: must be an http:// or https:// URL without a user name',
    ],
    [
      'an address behind which the path of queries would be a parameter',
      metric({ prometheus: { ...query, address: 'http://10.0.0.1:9090/admin/x?y=' }, success: 'true' }),
      'prometheus.address: Invalid value: must be an http:// or https:// URL without a user name, ? or #',
    ],
    [
      'an address behind which the path of queries would not be sent',
      metric({ prometheus: { ...query, address: 'http://10.0.0.1:9090/admin/x#' }, success: 'true' }),
      'prometheus.address: Invalid value: must be an http:// or https:// URL without a user name, ? or #',
    ],
    [
      'steps of Rolling',
      { rollout: { steps: [{ weight: 10 }] } },
      'spec.rollout.steps: Invalid value: steps go with strategy: Canary, BlueGreen or Shadow only',
    ],
    [
      'an analysis of Recreate',
      { rollout: { strategy: 'Recreate', analysis: {} } },
      'spec.rollout.analysis: Invalid value: analysis goes with',
    ],
    ['keeping what Rolling replaced', { rollout: { keepPrevious: '1m' } }, 'spec.rollout.keepPrevious: Invalid value'],
    [
      'a surge of a canary',
      rollout({ maxSurge: 1 }),
      'spec.rollout.maxSurge: Invalid value: maxSurge goes with strategy: Rolling only',
    ],
    [
      'a share with BlueGreen',
      { rollout: { strategy: 'BlueGreen', steps: [{ weight: 50 }] } },
      'BlueGreen switches at once',
    ],
    [
      'a weight with Shadow',
      { rollout: { strategy: 'Shadow', steps: [{ mirror: '1%' }, { weight: 50 }] } },
      'steps of Shadow have no weight',
    ],
    [
      'a Shadow without a mirror',
      { rollout: { strategy: 'Shadow', steps: [{ smoke: {} }] } },
      'steps of Shadow must have one with mirror',
    ],
    ['an unknown strategy', { rollout: { strategy: 'Magic' } }, 'spec.rollout.strategy: Unsupported value: "Magic"'],
    [
      'sticking by a hash at a Gateway',
      { traffic: { ...gateway, sticky: { header: 'x-user' } } },
      'spec.traffic.sticky: Invalid value: sticky goes with provider: Router only',
    ],
    [
      'a fallback at a Gateway',
      { traffic: { ...gateway, fallback: { to: 'Stable' } } },
      'spec.traffic.fallback: Invalid value: fallback goes with provider: Router only',
    ],
    ['an ensemble at a Gateway', { traffic: { ...gateway, ensemble } }, 'spec.traffic.ensemble'],
    [
      'a Gateway that is not named',
      { traffic: { provider: 'GatewayAPI' } },
      'spec.traffic.expose: Invalid value: provider: GatewayAPI needs expose.gateway',
    ],
    [
      'agreement at a Gateway',
      { ...metric({ builtin: 'Agreement', min: '98%' }), traffic: gateway },
      'the metric Agreement needs traffic.provider: Router',
    ],
    ['an unknown provider', { traffic: { provider: 'Istio' } }, 'spec.traffic.provider: Unsupported value: "Istio"'],
    ['two units', { traffic: { sticky: { header: 'a', cookie: 'b' } } }, 'exactly one of header, cookie and metadata'],
    [
      'a header that is none',
      { traffic: { sticky: { header: 'a b' } } },
      'spec.traffic.sticky.header: Invalid value: must be the name of a header',
    ],
    ['a fallback to nobody', { traffic: { fallback: { after: '1s' } } }, 'exactly one of to and modelDeploymentRef'],
    [
      'a canary of an ensemble',
      { ...rollout({}), traffic: { ensemble } },
      'traffic.ensemble excludes strategy: Canary',
    ],
    [
      'an ensemble with a fallback',
      { traffic: { ensemble, fallback: { to: 'Stable' } } },
      'ensemble excludes fallback and match',
    ],
    [
      'an ensemble of one',
      { traffic: { ensemble: { combine: 'Vote', members: [] } } },
      'spec.traffic.ensemble.members',
    ],
    [
      'an ensemble of what nobody can combine',
      {
        runtime: { container: { image: 'x', protocol: 'Custom', readinessPath: '/up' } },
        traffic: { ensemble },
      },
      'traffic.ensemble needs runtime.container.protocol: OpenInference',
    ],
    [
      'predictions that nobody counts',
      {
        ...metric({ builtin: 'PredictionDistribution', max: '10%' }),
        runtime: { container: { image: 'x' } },
      },
      'the metric PredictionDistribution goes with runtime.name: onnx only',
    ],
  ])('%s', async (_title, spec, message) => {
    await expect(api.preview(ModelDeployment, manifest(spec))).rejects.toThrow(message);
  });
});
