import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { withDefaults } from '../defaults.ts';
import { type ApiServer, connect } from '../testing/api-server.ts';
import { cpu, digest, example, gpu, manifest, model, type Spec } from '../testing/manifests.ts';
import { ModelDeployment } from './model-deployment.ts';

let api: ApiServer;
beforeAll(async () => {
  api = await connect(ownKubeconfig());
});
afterAll(() => api.dispose());

describe('the API server accepts', () => {
  const cases: [title: string, spec: Spec][] = [
    ['a URI alone', {}],
    ...[
      'file:///models/churn.onnx',
      'pvc://claim/churn/7',
      'http://host:8000/m.onnx',
      'https://host/m',
      's3://b/m/',
      'oci://ghcr.io/a/b:1',
    ].map((uri): [string, Spec] => [`the model ${uri}`, { model: { uri } }]),
    ['a digest', { model: { uri: 'oci://ghcr.io/a/b@sha256:1', sha256: digest } }],
    ['a model of MLflow by alias', { model: { uri: 'models:/churn@champion', endpoint: 'http://mlflow:5000' } }],
    [
      'a model of MLflow by version',
      { model: { uri: 'models:/a.b.churn/7', endpoint: 'https://mlflow/x', sha256: digest } },
    ],
    ['a registry reference by alias', { model: { ref: { model: 'churn', alias: 'champion' } } }],
    ['a registry reference by version', { model: { ref: { model: 'churn', version: '7' } } }],
    [
      'credentials and an endpoint',
      { model: { ...model, credentialsRef: { name: 's3' }, endpoint: 'http://minio.store:9000' } },
    ],
    [
      'examples with nested data, 64-bit integers and texts',
      {
        model: {
          ...model,
          examples: [
            { ...example, expect: [{ name: 'label', data: [9007199254740991, 'a', [true]] }], tolerance: 0.001 },
          ],
        },
      },
    ],
    [
      'batching and a cache',
      { runtime: { name: 'onnx', batching: { maxBatchSize: 8, maxDelay: '0s' }, cache: { ttl: '1h30m' } } },
    ],
    [
      'a container',
      { runtime: { container: { image: 'triton:1', args: ['--m=$(FAIRLEAD_MODEL_PATH)'], ports: { grpc: 9000 } } } },
    ],
    [
      'a container with its own protocol',
      { runtime: { container: { image: 'x', protocol: 'Custom', readinessPath: '/up' } } },
    ],
    ['whole GPUs of a product', { resources: gpu, accelerator: { product: ['NVIDIA-H100', 'NVIDIA-H200'] } }],
    ['a MIG device', { accelerator: { mig: '1g.18gb', nodeSelector: { zone: 'a' } } }],
    [
      'requests equal to limits',
      { resources: { requests: { cpu: 1, memory: '1Gi' }, limits: { cpu: '1000m', memory: '1024Mi' } } },
    ],
    ['autoscaling', { autoscaling: { minReplicas: 3, maxReplicas: 3 }, resources: cpu }],
    ['autoscaling by requests behind routers', { autoscaling: { inFlight: 8 }, resources: cpu, traffic: {} }],
    [
      'autoscaling by requests of a canary',
      { autoscaling: { inFlight: 8 }, resources: cpu, rollout: { strategy: 'Canary' } },
    ],
    ['no replicas', { replicas: 0 }],
    ['percentages of pods', { rollout: { maxSurge: 0, maxUnavailable: '25%' } }],
    ['the strategy Recreate', { rollout: { strategy: 'Recreate' } }],
    ['a prediction log', { predictionLog: { sampling: '0.5%' } }],
    [
      'all of a pod',
      {
        pod: {
          serviceAccountName: 'churn',
          imagePullSecrets: [{ name: 'pull' }],
          tolerations: [{ key: 'gpu', operator: 'Exists', effect: 'NoSchedule' }],
          env: [
            { name: 'A', value: 'b' },
            { name: 'B', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
          ],
          volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
          volumeMounts: [{ name: 'data', mountPath: '/data', readOnly: true }],
          affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } },
          nodeSelector: { disk: 'ssd' },
          priorityClassName: 'high',
          labels: { team: 'shop' },
          annotations: { note: 'x' },
          securityContext: { runAsUser: 1000, fsGroup: 1000, supplementalGroups: [2000] },
        },
      },
    ],
  ];
  test.each(cases)('%s', async (_title, spec) => {
    const stored = await api.preview(ModelDeployment, manifest(spec));
    expect(stored).toMatchObject({ spec: { model: spec.model ?? model } });
  });
});

describe('defaults', () => {
  test.each<[string, Spec]>([
    ['of the least that can be written', {}],
    [
      'of parts that are given empty',
      { autoscaling: {}, resources: cpu, predictionLog: {}, rollout: {}, runtime: { batching: {}, cache: {} } },
    ],
    ['of a container', { runtime: { container: { image: 'x' } } }],
  ])('%s are those that withDefaults gives', async (_title, spec) => {
    const stored = await api.preview(ModelDeployment, manifest(spec));
    const expected = withDefaults(ModelDeployment, { ...manifest(spec), metadata: { name: 'churn', namespace: 'x' } });
    expect(stored.spec).toEqual(expected.spec);
  });

  test('are the documented ones', async () => {
    const spec = { autoscaling: {}, resources: cpu, predictionLog: {}, runtime: { batching: {}, cache: {} } };
    expect(await api.preview(ModelDeployment, manifest(spec))).toMatchObject({
      spec: {
        autoscaling: { minReplicas: 2, maxReplicas: 10, cpu: 70 },
        predictionLog: { sink: 'Stdout', sampling: '1%' },
        rollout: {
          strategy: 'Rolling',
          progressDeadline: '10m',
          capacity: { mode: 'Auto', provisionTimeout: '3m' },
        },
        runtime: { batching: { maxBatchSize: 32, maxDelay: '2ms' }, cache: { maxEntries: 10_000, ttl: '1h' } },
      },
    });
  });
});
