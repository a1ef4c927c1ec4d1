import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NODE_IP } from '../cluster/address-plan.ts';
import { isOwnNode, OWN_NODE } from '../cluster/own-node.ts';
import { describeWhere } from '../describe-where.ts';
import { kubectl, modelDeployment, podsOf, until, untilReady, useNamespace } from '../environment.ts';
import { condition } from '../kubectl.ts';
import { type MlflowServer, startMlflowServer } from '../services/mlflow-server.ts';

const WITH_INSTALL_MS = 900_000;
const model = (file: string) => fileURLToPath(new URL(`../models/${file}`, import.meta.url));

// The tracking server runs on this machine.
describeWhere(isOwnNode, OWN_NODE)('an alias in MLflow', () => {
  const namespace = useNamespace('e2e-mlflow');
  let mlflow: MlflowServer;

  beforeAll(async () => {
    mlflow = await startMlflowServer({ host: NODE_IP });
    await mlflow.logModels('cancer', model('breast-cancer-v1.onnx'), model('breast-cancer-v2.onnx'));
    await mlflow.setAlias('cancer', 'champion', '1');
  }, WITH_INSTALL_MS);
  afterAll(async () => await mlflow?.stop());

  test('that moves starts the rollout, and the spec stays as it was applied', async () => {
    const spec = { model: { uri: 'models:/cancer@champion', endpoint: mlflow.url } };
    await kubectl().apply(modelDeployment(namespace, 'cancer', spec));
    const first = await untilReady(namespace, 'cancer');
    expect(first.status.model).toMatchObject({ version: '1', uri: expect.stringMatching(/^mlflow-artifacts:/) });

    await mlflow.setAlias('cancer', 'champion', '2');
    const second = await until(
      namespace,
      'cancer',
      (object) => object.status.model?.version === '2' && condition(object, 'Ready')?.status === 'True',
    );
    expect(second.metadata.generation).toBe(first.metadata.generation);
    expect(second.status.model.sha256).not.toBe(first.status.model.sha256);
    expect(second.status.summary.model).toBe('cancer@2');
  });

  test('is asked for by a pod without a right but to write its answers', async () => {
    const as = `--as=system:serviceaccount:${namespace}:fairlead-registry`;
    const may = async (...question: string[]) =>
      (
        await kubectl()
          .run(['auth', 'can-i', ...question, '-n', namespace, as])
          .catch(() => 'no')
      ).trim();
    expect(await may('patch', 'configmaps/fairlead-registry')).toBe('yes');
    expect(await may('patch', 'configmaps/other')).toBe('no');
    expect(await may('get', 'configmaps/fairlead-registry')).toBe('no');
    expect(await may('get', 'secrets')).toBe('no');
    expect(await may('list', 'pods')).toBe('no');
  });

  test('that cannot be asked for leaves alone what serves', async () => {
    await mlflow.stop();
    const unreachable = await until(
      namespace,
      'cancer',
      (object) => condition(object, 'Ready')?.reason === 'RegistryUnreachable',
    );
    expect(condition(unreachable, 'Ready')?.status).toBe('True');
    expect(unreachable.status.phase).toBe('Ready');
    // The one of the model before may still be on its way out.
    const pods = (await podsOf(namespace, 'cancer')).filter((pod) => pod.metadata.deletionTimestamp === undefined);
    expect(pods).toHaveLength(1);
  });
});
