import { beforeAll, describe, expect, it } from 'vitest';
import {
  kubectl,
  modelDeployment,
  startModelStore,
  storeUri,
  until,
  untilReady,
  useNamespace,
} from '../environment.ts';
import { condition } from '../kubectl.ts';

const SYSTEM = 'fairlead-system';
const LEASES = `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases`;

async function leader(): Promise<string> {
  const leases = await kubectl().list('lease', SYSTEM);
  return String(leases[0]?.spec.holderIdentity);
}

async function killLeader(): Promise<void> {
  const pods = await kubectl().list('pods', SYSTEM);
  const holder = await leader();
  const pod = pods.find((each) => holder.startsWith(each.metadata.name));
  if (pod === undefined)
    throw new Error(`no pod of ${pods.map((each) => each.metadata.name)} holds the lease of ${holder}`);
  await kubectl().run(['delete', 'pod', pod.metadata.name, '-n', SYSTEM, '--grace-period=0', '--force']);
}

describe('the operator can die at any time', () => {
  const namespace = useNamespace('e2e-operator-faults');

  beforeAll(async () => {
    await startModelStore(namespace);
  });

  it('hands over to its other replica when the leader is killed in the middle of a rollout', async () => {
    await kubectl().apply(modelDeployment(namespace, 'model', { replicas: 2 }));
    await untilReady(namespace, 'model');
    const before = await leader();
    await kubectl().patch('md', namespace, 'model', {
      spec: { model: { uri: storeUri(namespace, 'breast-cancer-v2.onnx') } },
    });
    await killLeader();
    await untilReady(namespace, 'model');
    const [lease] = await kubectl().list('lease', SYSTEM);
    await kubectl().until(LEASES, String(lease?.metadata.name), (held) => held?.spec.holderIdentity !== before, 60_000);
    const serving = (await kubectl().list('deployments', namespace, 'fairlead.dev/model-deployment=model')).filter(
      (deployment) => deployment.spec.replicas > 0,
    );
    expect(serving).toHaveLength(1);
  });

  it('deletes a ModelDeployment whose Secret and model are gone', async () => {
    await kubectl().apply(
      modelDeployment(namespace, 'orphan', {
        model: { uri: storeUri(namespace, 'none.onnx'), credentialsRef: { name: 'no-such-secret' } },
      }),
    );
    await until(namespace, 'orphan', (object) => condition(object, 'Ready')?.status === 'False');
    await kubectl().delete('md', namespace, 'orphan');
    await expect(kubectl().get('md', namespace, 'orphan')).rejects.toThrow(/not found/);
  });
});
