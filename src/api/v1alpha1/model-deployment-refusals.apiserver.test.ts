import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { type ApiServer, connect } from '../testing/api-server.ts';
import { cpu, digest, example, gpu, manifest, model, type Spec } from '../testing/manifests.ts';
import { ModelDeployment } from './model-deployment.ts';

let api: ApiServer;
beforeAll(async () => {
  api = await connect(ownKubeconfig());
});
afterAll(() => api.dispose());

describe('the API server refuses', () => {
  const cases: [title: string, spec: Spec, message: string][] = [
    ['no model', { model: undefined }, 'spec.model: Required value'],
    ['neither uri nor ref', { model: {} }, 'spec.model: Invalid value: exactly one of uri and ref must be given'],
    [
      'both uri and ref',
      { model: { ...model, ref: { model: 'a', alias: 'b' } } },
      'exactly one of uri and ref must be given',
    ],
    [
      'an unknown scheme',
      { model: { uri: 'ftp://host/m' } },
      'spec.model.uri: Invalid value: must start with one of file://, pvc://, http://, https://, s3://, oci://',
    ],
    [
      'a URI without a host',
      { model: { uri: 's3:///key' } },
      'spec.model.uri: Invalid value: must be file:///PATH, pvc://CLAIM/PATH',
    ],
    ['a relative file', { model: { uri: 'file://models/m.onnx' } }, 'must be file:///PATH'],
    ['a password in a URI', { model: { uri: 'https://me:secret@host/m' } }, 'without a user name'],
    ['a blank in a URI', { model: { uri: 's3://a/b c' } }, 'without blanks'],
    ['a line break in a URI', { model: { uri: 's3://a/b\nc' } }, 'without blanks'],
    ['a bucket without a key', { model: { uri: 's3://models/' } }, 's3://BUCKET/KEY'],
    ['a registry without a repository', { model: { uri: 'oci://registry.example.dev/' } }, 'oci://HOST/REPOSITORY:TAG'],
    ['the root of the file system', { model: { uri: 'file:///' } }, 'must be file:///PATH'],
    [
      'a registry without its server',
      { model: { uri: 'models:/churn@champion' } },
      'models:/ needs endpoint: the MLflow tracking server',
    ],
    [
      'a stage of a registry',
      { model: { uri: 'models:/churn/Production', endpoint: 'http://mlflow:5000' } },
      'must be models:/NAME@ALIAS or models:/NAME/VERSION',
    ],
    [
      'a registry as if it were a host',
      { model: { uri: 'models://churn/7', endpoint: 'http://mlflow:5000' } },
      'must be models:/NAME@ALIAS or models:/NAME/VERSION',
    ],
    [
      'a digest of what an alias stands for',
      { model: { uri: 'models:/churn@champion', endpoint: 'http://mlflow:5000', sha256: digest } },
      'sha256 does not go with models:/NAME@ALIAS',
    ],
    [
      'a digest that is too short',
      { model: { ...model, sha256: 'abc' } },
      'spec.model.sha256: Invalid value: must be 64 lower-case hexadecimal digits',
    ],
    [
      'a digest beside a reference',
      { model: { ref: { model: 'a', alias: 'b' }, sha256: digest } },
      'spec.model.sha256: Invalid value: sha256 goes with uri only',
    ],
    [
      'a reference without a version',
      { model: { ref: { model: 'a' } } },
      'spec.model.ref: Invalid value: exactly one of alias and version must be given',
    ],
    [
      'a reference with both',
      { model: { ref: { model: 'a', alias: 'b', version: '1' } } },
      'exactly one of alias and version',
    ],
    [
      'a name that is none',
      { model: { ...model, credentialsRef: { name: 'A_b' } } },
      'spec.model.credentialsRef.name: Invalid value: must be the name of an object',
    ],
    [
      'an endpoint that is no URL',
      { model: { ...model, endpoint: 'minio:9000' } },
      'spec.model.endpoint: Invalid value: must be an http:// or https:// URL',
    ],
    [
      'an unknown tensor type',
      { model: { ...model, examples: [{ inputs: [{ ...example.inputs[0], datatype: 'FP8' }] }] } },
      'supported values: "BOOL", "UINT8"',
    ],
    ['an example without inputs', { model: { ...model, examples: [{ inputs: [] }] } }, 'spec.model.examples[0].inputs'],
    [
      'an unknown runtime',
      { runtime: { name: 'tf' } },
      'spec.runtime.name: Unsupported value: "tf": supported values: "onnx"',
    ],
    [
      'a name and a container',
      { runtime: { name: 'onnx', container: { image: 'x' } } },
      'only one of name and container may be given',
    ],
    [
      'a cache in front of a container',
      { runtime: { cache: {}, container: { image: 'x' } } },
      'batching and cache go with name: onnx only',
    ],
    [
      'an example for a container',
      { model: { ...model, examples: [example] }, runtime: { container: { image: 'x' } } },
      'predictionLog and model.examples go with runtime.name: onnx only',
    ],
    [
      'a custom protocol without readiness',
      { runtime: { container: { image: 'x', protocol: 'Custom' } } },
      'spec.runtime.container.readinessPath: Invalid value: readinessPath must be given when protocol is Custom',
    ],
    [
      'a relative readiness path',
      { runtime: { container: { image: 'x', readinessPath: 'up' } } },
      'readinessPath: Invalid value: must start with /',
    ],
    [
      'one port for two protocols',
      { runtime: { container: { image: 'x', ports: { grpc: 8080 } } } },
      'grpc must differ from http',
    ],
    [
      'an empty batch',
      { runtime: { batching: { maxBatchSize: 0 } } },
      'spec.runtime.batching.maxBatchSize: Invalid value: 0',
    ],
    [
      'a delay without a unit',
      { runtime: { batching: { maxDelay: '5' } } },
      'spec.runtime.batching.maxDelay: Invalid value: must be a duration from 0s to 10s, such as 2ms',
    ],
    ['a delay that is too long', { runtime: { batching: { maxDelay: '1m' } } }, 'must be a duration from 0s to 10s'],
    ['a time to live of nothing', { runtime: { cache: { ttl: '0s' } } }, 'must be a duration from 1ms to 8760h'],
    [
      'a quantity that is none',
      { resources: { limits: { memory: '2GiB' } } },
      'spec.resources.limits[memory]: Invalid value: must be a Kubernetes quantity that is not negative, such as 500m, 2 or 1Gi',
    ],
    [
      'a negative quantity',
      { resources: { limits: { cpu: -1 } } },
      'must be a Kubernetes quantity that is not negative',
    ],
    [
      'a request above its limit',
      { resources: { requests: { cpu: 2 }, limits: { cpu: '1500m' } } },
      'each of resources.requests must be at most the same of resources.limits',
    ],
    [
      'a GPU in the requests',
      { resources: { requests: { 'nvidia.com/gpu': '1' } } },
      'nvidia.com/gpu belongs into resources.limits',
    ],
    [
      'a MIG device in the limits',
      { resources: { limits: { 'nvidia.com/mig-1g.18gb': 1 } } },
      'MIG devices are asked for by accelerator.mig',
    ],
    [
      'GPU and MIG together',
      { resources: gpu, accelerator: { mig: '1g.18gb' } },
      'only one of accelerator.mig and resources.limits["nvidia.com/gpu"] may be given',
    ],
    [
      'a MIG profile that is none',
      { accelerator: { mig: '1g' } },
      'spec.accelerator.mig: Invalid value: must be a MIG profile such as 1g.18gb',
    ],
    [
      'a product without a GPU',
      { accelerator: { product: ['NVIDIA-H100'] } },
      'accelerator.product needs resources.limits["nvidia.com/gpu"] or accelerator.mig',
    ],
    [
      'replicas and autoscaling',
      { replicas: 1, autoscaling: {}, resources: cpu },
      'only one of replicas and autoscaling may be given',
    ],
    ['fewer than no replicas', { replicas: -1 }, 'spec.replicas: Invalid value: -1'],
    [
      'a minimum above the maximum',
      { autoscaling: { minReplicas: 12 }, resources: cpu },
      'spec.autoscaling.minReplicas: Invalid value: minReplicas (12) must be at most maxReplicas (10)',
    ],
    [
      'autoscaling to zero',
      { autoscaling: { minReplicas: 0 }, resources: cpu },
      'spec.autoscaling.minReplicas: Invalid value: 0',
    ],
    ['autoscaling without a CPU request', { autoscaling: {} }, 'autoscaling needs resources.requests.cpu'],
    [
      'autoscaling by requests that nobody counts',
      { autoscaling: { inFlight: 8 }, resources: cpu },
      'autoscaling.inFlight needs routers',
    ],
    [
      'autoscaling by requests that a Gateway splits',
      {
        autoscaling: { inFlight: 8 },
        resources: cpu,
        traffic: { provider: 'GatewayAPI', expose: { gateway: { name: 'public' } } },
      },
      'autoscaling.inFlight needs routers',
    ],
    [
      'autoscaling by memory without a request',
      { autoscaling: { memory: 80 }, resources: cpu },
      'autoscaling.memory needs resources.requests.memory',
    ],
    [
      'an unknown strategy',
      { rollout: { strategy: 'Ramped' } },
      'spec.rollout.strategy: Unsupported value: "Ramped": supported values: "Rolling", "Recreate", "Canary", "BlueGreen", "Shadow"',
    ],
    [
      'a surge with Recreate',
      { rollout: { strategy: 'Recreate', maxSurge: 1 } },
      'maxSurge goes with strategy: Rolling only',
    ],
    [
      'a rollout without room',
      { rollout: { maxSurge: '0%' } },
      'spec.rollout.maxSurge: Invalid value: maxSurge and maxUnavailable must not both be 0',
    ],
    [
      'a surge that is no number',
      { rollout: { maxSurge: 'some' } },
      'spec.rollout.maxSurge: Invalid value: must be a number of pods from 0 to 10000, or a percentage such as 25%',
    ],
    [
      'an unknown sink',
      { predictionLog: { sink: 'Kafka' } },
      'spec.predictionLog.sink: Unsupported value: "Kafka": supported values: "Stdout"',
    ],
    [
      'a sampling rate without a unit',
      { predictionLog: { sampling: '1' } },
      'spec.predictionLog.sampling: Invalid value: must be a percentage from 0% to 100%',
    ],
    ['more than all requests', { predictionLog: { sampling: '101%' } }, 'must be a percentage from 0% to 100%'],
    [
      'a variable that is ours',
      { pod: { env: [{ name: 'FAIRLEAD_SERVER_CONFIG', value: 'x' }] } },
      'spec.pod.env[0].name: Invalid value: must not be one of FAIRLEAD_SERVER_CONFIG',
    ],
    [
      'a variable with two values',
      { pod: { env: [{ name: 'A', value: 'x', valueFrom: {} }] } },
      'only one of value and valueFrom may be given',
    ],
    [
      'a volume that is ours',
      { pod: { volumes: [{ name: 'fairlead-models', emptyDir: {} }] } },
      'must not start with fairlead-',
    ],
    [
      'a mount without its volume',
      { pod: { volumeMounts: [{ name: 'data', mountPath: '/data' }] } },
      'each of volumeMounts must name one of pod.volumes',
    ],
    [
      'a mount at a relative path',
      { pod: { volumes: [{ name: 'a', emptyDir: {} }], volumeMounts: [{ name: 'a', mountPath: 'data' }] } },
      'spec.pod.volumeMounts[0].mountPath: Invalid value: must be an absolute path',
    ],
    [
      'a mount over ours',
      { pod: { volumes: [{ name: 'a', emptyDir: {} }], volumeMounts: [{ name: 'a', mountPath: '/tmp' }] } },
      'must not be at or below /tmp, /var/lib/fairlead/models, /mnt/pvc',
    ],
    [
      'a label that is ours',
      { pod: { labels: { 'fairlead.dev/revision': 'x' } } },
      'labels must not start with fairlead.dev/',
    ],
    [
      'a root user',
      { pod: { securityContext: { runAsUser: 0 } } },
      'spec.pod.securityContext.runAsUser: Invalid value: 0',
    ],
    ['a field that does not exist', { trafic: { provider: 'Router' } }, 'unknown field "spec.trafic"'],
  ];
  test.each(cases)('%s', async (_title, spec, message) => {
    await expect(api.preview(ModelDeployment, manifest(spec))).rejects.toThrow(message);
  });

  test.each(['default', 'fairlead-router', 'fairlead-registry'])(
    'the name %s, which other objects of the namespace have',
    async (name) => {
      const message = 'metadata.name must be another one than default, fairlead-router, fairlead-registry';
      await expect(api.preview(ModelDeployment, manifest({}, name))).rejects.toThrow(message);
    },
  );

  test.each(['Churn', '7', 'a.b', 'a'.repeat(53)])('the name %s, which no Service could have', async (name) => {
    await expect(api.preview(ModelDeployment, manifest({}, name))).rejects.toThrow(/metadata.name/);
  });
});
