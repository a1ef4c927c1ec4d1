import { beforeAll, describe, expect, it } from 'vitest';
import {
  BREAST_CANCER,
  image,
  kubectl,
  modelDeployment,
  startModelStore,
  storeUri,
  until,
  useNamespace,
} from '../environment.ts';
import { type ClusterObject, condition } from '../kubectl.ts';
import { readModel } from '../model-store.ts';

interface Failure {
  readonly name: string;
  readonly title: string;
  readonly reason: string;
  readonly message: RegExp;
  readonly spec: (namespace: string) => Readonly<Record<string, unknown>>;
}

const model = (file: string) => (namespace: string) => ({ model: { uri: storeUri(namespace, file) } });

const failures: readonly Failure[] = [
  {
    name: 'digest',
    title: 'bytes with another digest',
    reason: 'DigestMismatch',
    message: /0{64}/,
    spec: (namespace) => ({ model: { uri: storeUri(namespace, BREAST_CANCER), sha256: '0'.repeat(64) } }),
  },
  {
    name: 'text',
    title: 'a file that is not ONNX',
    reason: 'InvalidModel',
    message: /ONNX|protobuf/i,
    spec: model('text.onnx'),
  },
  {
    name: 'truncated',
    title: 'a truncated model',
    reason: 'InvalidModel',
    message: /\S/,
    spec: model('truncated.onnx'),
  },
  {
    name: 'opset',
    title: 'an opset that is too new',
    reason: 'UnsupportedOpset',
    message: /999/,
    spec: model('wrong-opset.onnx'),
  },
  {
    name: 'host',
    title: 'a host that does not exist',
    reason: 'SourceUnreachable',
    message: /no-such-store/,
    spec: () => ({ model: { uri: 'http://no-such-store.invalid/model.onnx' } }),
  },
  {
    name: 'image',
    title: 'an image that cannot be pulled',
    reason: 'ImagePullFailed',
    message: /fairlead\.local\/none:none/,
    spec: () => ({ runtime: { container: { image: 'fairlead.local/none:none' } } }),
  },
  {
    name: 'crash',
    title: 'a container that crashes',
    reason: 'CrashLoop',
    message: /exit code 3/,
    spec: () => ({ runtime: { container: { image: image(), command: ['node', '-e', 'process.exit(3)'] } } }),
  },
  {
    name: 'huge',
    title: 'pods that fit on no node',
    reason: 'Unschedulable',
    message: /\d+\/\d+ nodes are available.*[Ii]nsufficient cpu/,
    spec: () => ({ resources: { requests: { cpu: '900', memory: '96Mi' } } }),
  },
  {
    name: 'gpu',
    title: 'a GPU that the inference engine cannot use',
    reason: 'ProviderUnavailable',
    message: /CUDA|TensorRT|GPU/i,
    spec: () => ({ resources: { limits: { 'nvidia.com/gpu': '1' }, requests: { cpu: '20m', memory: '96Mi' } } }),
  },
];

describe.concurrent('status names every failure, with what to do', () => {
  const namespace = useNamespace('e2e-failures');
  const limited = useNamespace('e2e-quota');

  const whole = readModel(BREAST_CANCER);
  const files = {
    'text.onnx': Buffer.from('this is no model\n'),
    'truncated.onnx': whole.subarray(0, Math.floor(whole.length / 2)),
    'wrong-opset.onnx': readModel('tiny/wrong-opset.onnx'),
  };

  beforeAll(async () => {
    await startModelStore(namespace, files);
    await kubectl().apply(...failures.map(({ name, spec }) => modelDeployment(namespace, name, spec(namespace))));
  });

  async function untilNamed(name: string, reason: string): Promise<string> {
    const named = (object: ClusterObject) => condition(object, 'Ready')?.reason === reason;
    const ready = condition(await until(namespace, name, named), 'Ready');
    expect(ready?.status).toBe('False');
    return ready?.message ?? '';
  }

  it.each(failures)('calls $title $reason', async ({ name, reason, message }) => {
    expect(await untilNamed(name, reason)).toMatch(message);
  });

  it('calls a model that is not there ModelNotFound, and heals by itself when it appears', async () => {
    await kubectl().apply(modelDeployment(namespace, 'missing', model('none.onnx')(namespace)));
    expect(await untilNamed('missing', 'ModelNotFound')).toMatch(/404|not found/i);
    await startModelStore(namespace, { ...files, 'none.onnx': whole });
    await kubectl().run(['rollout', 'restart', 'deployment/model-store', '-n', namespace]);
    const isReady = (object: ClusterObject) => condition(object, 'Ready')?.status === 'True';
    const found = await until(namespace, 'missing', isReady, 240_000);
    expect(found.status.phase).toBe('Ready');
  }, 500_000);

  it('names the quota that refuses pods', async () => {
    await kubectl().apply({
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'tight', namespace: limited },
      spec: { hard: { 'requests.cpu': '10m' } },
    });
    const uri = storeUri(namespace, BREAST_CANCER);
    await kubectl().apply(modelDeployment(limited, 'model', { model: { uri, sha256: '0'.repeat(64) } }));
    const found = await until(limited, 'model', (object) => condition(object, 'Ready')?.reason === 'QuotaExceeded');
    expect(condition(found, 'Ready')?.message).toMatch(/tight.*requested.*limited/);
  });
});
