import { afterAll, beforeAll, expect, test } from 'vitest';
import { command } from '../../../e2e/cluster/command.ts';
import { ensureKubernetes } from '../../../e2e/cluster/kubernetes.ts';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { type ApiServer, connect } from '../testing/api-server.ts';
import { ModelDeployment } from './model-deployment.ts';
import type { ModelDeploymentStatus } from './model-deployment-status.ts';

let api: ApiServer;
let kubectl: (...args: string[]) => Promise<string>;
beforeAll(async () => {
  api = await connect(ownKubeconfig());
  const program = (await ensureKubernetes())('kubectl');
  kubectl = (...args) => command(program, ['--kubeconfig', ownKubeconfig(), '-n', api.namespace, ...args]);
  await api.create(ModelDeployment, {
    metadata: { name: 'churn' },
    spec: { model: { uri: 's3://models/churn/' }, replicas: 2 },
  });
});
afterAll(() => api.dispose());

const status: ModelDeploymentStatus = {
  observedGeneration: 1,
  phase: 'Progressing',
  address: { http: 'http://churn.shop.svc', grpc: 'churn.shop.svc:9000' },
  model: { version: '7', uri: 's3://models/churn/7/', sha256: '9f2c' },
  stable: { revision: 'churn-6b7f', version: '6', replicas: 4, ready: 4 },
  canary: { revision: 'churn-9c1d', version: '7', replicas: 1, ready: 1, weight: 10 },
  rollout: { step: '3/4', verdict: 'InsufficientData', message: '312 of 500 requests' },
  replicas: 5,
  readyReplicas: 5,
  selector: 'fairlead.dev/model-deployment=churn',
  summary: { model: 'churn@7', replicas: '5/5' },
  conditions: [
    { type: 'Available', status: 'True', reason: 'Serving', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
    { type: 'Ready', status: 'False', reason: 'Progressing', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
  ],
};

test('kubectl get md prints what a person asks first', async () => {
  const stored = await api.get(ModelDeployment, 'churn');
  const written = await api.replaceStatus(ModelDeployment, { ...stored, status: JSON.parse(JSON.stringify(status)) });
  expect(written.status).toEqual(status);
  const lines = (await kubectl('get', 'md')).trimEnd().split('\n');
  expect(lines.map((line) => line.split(/\s+/).slice(0, 9))).toEqual([
    ['NAME', 'READY', 'PHASE', 'MODEL', 'STEP', 'WEIGHT', 'VERDICT', 'REPLICAS', 'URL'],
    ['churn', 'False', 'Progressing', 'churn@7', '3/4', '10', 'InsufficientData', '5/5', 'http://churn.shop.svc'],
  ]);
  expect(lines[0]).toMatch(/ AGE$/);
});

test('a status written beside the status subresource is dropped', async () => {
  const stored = await api.get(ModelDeployment, 'churn');
  const written = await api.replace(ModelDeployment, { ...stored, status: { phase: 'Ready' } });
  expect(written.status).toEqual(stored.status);
});

test('kubectl scale changes the replicas', async () => {
  await kubectl('scale', 'md/churn', '--replicas=3');
  expect(await api.get(ModelDeployment, 'churn')).toMatchObject({ spec: { replicas: 3 } });
});

test('the scale subresource tells autoscalers the replicas and their selector', async () => {
  const path = `/apis/fairlead.dev/v1alpha1/namespaces/${api.namespace}/modeldeployments/churn/scale`;
  const scale = JSON.parse(await kubectl('get', '--raw', path));
  expect(scale.status).toEqual({ replicas: 5, selector: 'fairlead.dev/model-deployment=churn' });
});

test('every kind is found by its short name and in the category fairlead', async () => {
  await kubectl('get', 'mdl,mv');
  expect(await kubectl('get', 'fairlead', '-o', 'name')).toContain('modeldeployment.fairlead.dev/churn');
});

test('kubectl explain tells what a field means and its default', async () => {
  const explanation = await kubectl('explain', 'md.spec.autoscaling.cpu');
  expect(explanation.replace(/\s+/g, ' ')).toContain('in percent of the request, 1 to 1000. Default 70.');
});
