import type { V1PodTemplateSpec } from '@kubernetes/client-node';
import Value from 'typebox/value';
import { describe, expect, test } from 'vitest';
import { ServingConfig } from '../../api/serving-config.ts';
import { OWNER, specOf } from '../testing/spec.ts';
import { modelPath, serverPodTemplate, servingConfig, variableText } from './server-pod.ts';

const model = { uri: 's3://models/churn/7/', sha256: 'a'.repeat(64), version: '7' };
const ref = { model: { ref: { model: 'churn', version: '7' } } };

function podOf(spec: object, resolved = model): NonNullable<V1PodTemplateSpec['spec']> {
  const input = {
    owner: OWNER,
    spec: specOf({ ...ref, ...spec }),
    revision: 'churn-1',
    model: resolved,
    image: 'fairlead:1',
  };
  const pod = serverPodTemplate(input).spec;
  if (pod === undefined) throw new Error('a template without a spec');
  return pod;
}
const serverOf = (pod: NonNullable<V1PodTemplateSpec['spec']>) => pod.containers[0];

describe('every container of a pod', () => {
  test.each([
    ['the built-in server', {}],
    ['a declared container and the download before it', { runtime: { container: { image: 'triton' } } }],
  ])('is restricted: %s', (_title, spec) => {
    const pod = podOf(spec);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.automountServiceAccountToken).toBe(false);
    for (const container of [...(pod.initContainers ?? []), ...pod.containers]) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        privileged: false,
        readOnlyRootFilesystem: true,
      });
    }
  });

  test("a user's own choice of user and groups is kept, and nothing else can be loosened", () => {
    const pod = podOf({ pod: { securityContext: { runAsUser: 1000, fsGroup: 2000 } } });
    expect(pod.securityContext).toMatchObject({ runAsUser: 1000, fsGroup: 2000, runAsNonRoot: true });
  });
});

test('no argument or variable has a variable of Kubernetes in it: the kubelet would put a secret there', () => {
  const container = { image: 'triton', ports: { http: 8000 } };
  const uri = 'file:///models/$(AWS_SECRET_ACCESS_KEY)/$$(HOME)';
  const pod = podOf({ runtime: { container }, model: { ...ref.model, endpoint: 'http://$(KEY)' } }, { ...model, uri });
  const s3 = podOf(
    { runtime: { container }, model: { ...ref.model, endpoint: 'http://$(KEY)' } },
    { ...model, uri: 's3://b/$(KEY)' },
  );
  const path = serverOf(pod)?.env?.find(({ name }) => name === 'FAIRLEAD_MODEL_PATH')?.value;
  const texts = [...(pod.initContainers?.[0]?.args ?? []), ...(s3.initContainers?.[0]?.args ?? []), path ?? ''];
  expect(texts).toEqual(expect.arrayContaining([expect.stringContaining('$$(KEY)')]));
  expect(texts.map(asKubeletReads)).toEqual(
    expect.arrayContaining([uri, uri.slice('file://'.length), 's3://b/$(KEY)', 'http://$(KEY)']),
  );
});

/** What the kubelet makes of an argument: `$$` is one `$`, and `$(NAME)` is the variable's value. */
function asKubeletReads(text: string): string {
  return text.replace(/\$(\$|\(([^)]*)\))/g, (_all, first: string) => (first === '$' ? '$' : 'EXPANDED'));
}

describe('the built-in server', () => {
  test('ends before the kubelet kills it, and not much sooner', () => {
    const pod = podOf({});
    const [role, flag, grace] = serverOf(pod)?.args ?? [];
    expect([role, flag]).toEqual(['server', '--grace']);
    const spareSeconds = (pod.terminationGracePeriodSeconds ?? 0) - Number.parseInt(grace ?? '', 10);
    expect(spareSeconds).toBe(5);
  });

  test('is told a configuration that it accepts', () => {
    const spec = specOf({
      ...ref,
      model: { ...ref.model, examples: [{ inputs: [{ name: 'x', shape: [1], data: [1] }] }] },
      runtime: { batching: { maxDelay: '5ms' }, cache: { ttl: '1m' } },
      predictionLog: { sampling: '10%' },
    });
    const config = servingConfig({ owner: OWNER, spec, revision: 'churn-abc', model });
    expect([...Value.Errors(ServingConfig, config)]).toEqual([]);
    expect(config).toMatchObject({
      models: [{ name: 'churn', ...model, batching: { maxBatchSize: 32, maxDelayMs: 5 }, cache: { ttlMs: 60_000 } }],
      device: 'cpu',
      revision: { modelDeployment: 'churn', name: 'churn-abc' },
      predictionLog: { samplingRate: 0.1 },
    });
  });

  test('is told texts that look like variables of Kubernetes as they are', () => {
    const config: ServingConfig = { models: [{ name: 'm', uri: 's3://b/$(POD_NAME)' }] };
    expect(variableText(config)).not.toContain('$');
    expect(JSON.parse(variableText(config))).toEqual(config);
  });

  test('is live as soon as it listens, and ready only when the model answers', () => {
    const server = serverOf(podOf({}));
    expect(server?.startupProbe?.httpGet?.path).toBe('/v2/health/live');
    expect(server?.livenessProbe?.httpGet?.path).toBe('/v2/health/live');
    expect(server?.readinessProbe?.httpGet?.path).toBe('/v2/health/ready');
  });

  test('gets credentials from the Secret by the kubelet, and the claim of a pvc:// model read-only', () => {
    const pod = podOf(
      { model: { ...ref.model, credentialsRef: { name: 's3' } } },
      { ...model, uri: 'pvc://data/churn/7' },
    );
    expect(serverOf(pod)?.envFrom).toEqual([{ secretRef: { name: 's3' } }]);
    expect(serverOf(pod)?.volumeMounts).toContainEqual({
      name: 'fairlead-claim',
      mountPath: '/mnt/pvc/data',
      readOnly: true,
    });
    expect(pod.volumes).toContainEqual({
      name: 'fairlead-claim',
      persistentVolumeClaim: { claimName: 'data', readOnly: true },
    });
  });
});

describe('a declared container', () => {
  const container = { image: 'triton:1', args: ['--model=$(FAIRLEAD_MODEL_PATH)'], ports: { http: 8000, grpc: 8001 } };

  test('starts after the model was fetched and verified, and finds it by its variable', () => {
    const pod = podOf({ runtime: { container } });
    expect(pod.initContainers?.[0]).toMatchObject({ name: 'fetch-model', image: 'fairlead:1' });
    expect(pod.initContainers?.[0]?.args).toEqual(expect.arrayContaining(['--sha256', model.sha256]));
    expect(serverOf(pod)).toMatchObject({ image: 'triton:1', args: container.args });
    expect(serverOf(pod)?.env?.[0]?.name).toBe('FAIRLEAD_MODEL_PATH');
  });

  test('has its model fetched by a container that says what it takes, as a quota wants, without a GPU of its own', () => {
    const resources = {
      requests: { cpu: '2', memory: '32Mi' },
      limits: { cpu: 4, memory: '64Mi', 'nvidia.com/gpu': 1 },
    };
    const pod = podOf({ runtime: { container }, resources });
    expect(pod.initContainers?.[0]?.resources).toEqual({
      requests: { cpu: '2', memory: '32Mi' },
      limits: { cpu: '4', memory: '256Mi' },
    });
    expect(podOf({ runtime: { container } }).initContainers?.[0]?.resources).toEqual({});
  });

  test.each([
    ['s3://models/churn/model.savedmodel/', '/var/lib/fairlead/models/model.savedmodel'],
    ['https://host/churn.mar', '/var/lib/fairlead/models/churn.mar'],
    ['https://host/get?model=churn', '/var/lib/fairlead/models/model'],
    ['oci://host/churn:7', '/var/lib/fairlead/models/model'],
    ['pvc://data/churn/7', '/mnt/pvc/data/churn/7'],
    ['pvc://data/my%20model/100%25', '/mnt/pvc/data/my model/100%'],
    ['file:///opt/my%20model', '/opt/my model'],
    // The download says what is wrong with it.
    ['file:///opt/100%', '/opt/100%'],
    ['file:///opt/model', '/opt/model'],
  ])('finds the model of %s at %s', (uri, path) => {
    expect(modelPath(uri)).toBe(path);
  });

  test('is found by the names of its ports, whatever their numbers', () => {
    const ports = serverOf(podOf({ runtime: { container } }))?.ports;
    expect(ports?.map(({ name, containerPort }) => [name, containerPort])).toEqual([
      ['http', 8000],
      ['grpc', 8001],
    ]);
  });

  test('is ready when its own path says so', () => {
    const custom = { image: 'x', protocol: 'Custom', readinessPath: '/ping' };
    expect(serverOf(podOf({ runtime: { container: custom } }))?.readinessProbe?.httpGet?.path).toBe('/ping');
  });
});

describe('on a GPU', () => {
  const gpu = { resources: { limits: { 'nvidia.com/gpu': 1 } } };

  test('the server must use it, and the pod tolerates the taint of GPU nodes', () => {
    const pod = podOf(gpu);
    expect(
      JSON.parse(serverOf(pod)?.env?.find(({ name }) => name === 'FAIRLEAD_SERVER_CONFIG')?.value ?? ''),
    ).toMatchObject({ device: 'gpu' });
    expect(serverOf(pod)?.resources?.limits).toEqual({ 'nvidia.com/gpu': '1' });
    expect(pod.tolerations).toEqual([{ key: 'nvidia.com/gpu', operator: 'Exists' }]);
  });

  test('a MIG profile asks for one device of it', () => {
    expect(serverOf(podOf({ accelerator: { mig: '1g.18gb' } }))?.resources?.limits).toEqual({
      'nvidia.com/mig-1g.18gb': '1',
    });
  });

  test("the products narrow every alternative of the user's own affinity", () => {
    const term = (key: string) => ({ matchExpressions: [{ key, operator: 'Exists' }] });
    const nodeAffinity = {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term('a'), term('b')] },
    };
    const pod = podOf({ ...gpu, accelerator: { product: ['NVIDIA-H100'] }, pod: { affinity: { nodeAffinity } } });
    const product = { key: 'nvidia.com/gpu.product', operator: 'In', values: ['NVIDIA-H100'] };
    expect(pod.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms).toEqual([
      { matchExpressions: [{ key: 'a', operator: 'Exists' }, product] },
      { matchExpressions: [{ key: 'b', operator: 'Exists' }, product] },
    ]);
  });

  test('without one nothing of this is asked for', () => {
    const pod = podOf({});
    expect([pod.tolerations, pod.affinity, serverOf(pod)?.resources]).toEqual([undefined, undefined, {}]);
  });
});
