import type { ChildProcess } from 'node:child_process';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { ownKubeconfig } from '../../e2e/cluster/own-control-plane.ts';
import { ANNOTATIONS, LABELS } from '../api/names.ts';
import { findCondition } from '../runtime/conditions.ts';
import { eventually } from '../runtime/testing/cluster.ts';
import { MODEL_DEPLOYMENTS, type ModelDeployment } from './kinds.ts';
import { DEPLOYMENTS, EVENTS } from './resources.ts';
import { ApiGateway } from './testing/api-gateway.ts';
import { kill, startOperatorProcess } from './testing/operator-process.ts';
import { PlayedCluster } from './testing/played-cluster.ts';
import { model, NAME } from './testing/tenant.ts';

const kubeconfig = ownKubeconfig();
/** More than the writes of one rollout, each of which ends a process. */
const MOST_KILLS = 80;

const canary = {
  replicas: 4,
  rollout: { strategy: 'Canary', steps: [{ weight: 10 }, { weight: 50 }], analysis: { metrics: [] } },
};

let cluster: PlayedCluster;
let gateway: ApiGateway;
let operator: ChildProcess | undefined;

beforeEach(async () => {
  cluster = new PlayedCluster(kubeconfig, { pod: () => 'ready', job: () => undefined });
  await cluster.start();
  gateway = await ApiGateway.to(kubeconfig);
});
afterEach(async () => {
  operator?.kill('SIGKILL');
  await gateway.close();
  await cluster.stop();
});

const startOperator = () => startOperatorProcess(inject('program'), gateway.kubeconfigPath, cluster.namespace);

const read = () => cluster.get(MODEL_DEPLOYMENTS, NAME);
const serves = (digit: string, object: ModelDeployment | undefined) =>
  object?.status?.observedGeneration === object?.metadata.generation &&
  object?.status?.model?.sha256 === model(digit).sha256 &&
  findCondition(object.status.conditions, 'Ready')?.status === 'True';

test('an operator killed between every two writes of a canary goes on step by step, and repeats and skips none', async () => {
  gateway.open();
  operator = startOperator();
  const metadata = { name: NAME, namespace: cluster.namespace };
  await cluster.client.create(MODEL_DEPLOYMENTS, {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata,
    spec: { model: model('1'), ...canary },
  });
  await eventually('the first model serves', async () => serves('1', await read()), 60_000);
  await kill(operator);
  cluster.forgetExtremes();
  await cluster.client.mergePatch(MODEL_DEPLOYMENTS, metadata, { spec: { model: model('2') } });

  let kills = 0;
  for (; kills < MOST_KILLS; kills++) {
    // Every other write is lost on its way; the others are carried out, and their process never learns of it.
    const reached = gateway.cutOff({ afterWrites: 1, isCarriedOut: kills % 2 === 0 });
    operator = startOperator();
    const isOver = await Promise.race([reached.then(() => false), over(operator)]);
    await kill(operator);
    if (isOver) break;
  }
  // A process writes twice at most, and a change of weights takes more than one write: a death for each at the least.
  expect(kills).toBeGreaterThanOrEqual(cluster.routers.weights(NAME).length);
  expect(kills).toBeLessThan(MOST_KILLS);

  expect(cluster.routers.weights(NAME)).toEqual(['100', '10/90', '50/50', '100/0', '100']);
  expect(cluster.routers.lost).toEqual([]);
  expect(cluster.extremes.leastReady).toBeGreaterThanOrEqual(4);
  const own = (await cluster.list(DEPLOYMENTS)).filter(({ metadata: { labels } }) => labels?.[LABELS.revision]);
  expect(own.filter(({ spec }) => (spec?.replicas ?? 1) > 0).map(digestOf)).toEqual([model('2').sha256]);
  expect(own).toHaveLength(2);
  const told = (await cluster.list(EVENTS)).filter(({ reason }) => reason === 'RolledBack');
  expect(told).toEqual([]);
}, 400_000);

const digestOf = ({ metadata }: { metadata: { annotations?: Readonly<Record<string, string>> } }) =>
  metadata.annotations?.[ANNOTATIONS.modelSha256];

/** Whether nothing is left to write: the new model serves and the old one has no pods. */
async function isDone(): Promise<boolean> {
  const running = (await cluster.list(DEPLOYMENTS)).filter(
    ({ metadata: { labels }, spec }) => labels?.[LABELS.revision] !== undefined && (spec?.replicas ?? 1) > 0,
  );
  return running.length === 1 && serves('2', await read());
}

/** Resolves to true when the operator has nothing left to write, to false when it is gone before. */
async function over(process: ChildProcess): Promise<boolean> {
  let done = false;
  const isOver = async () => {
    if (process.exitCode !== null || process.signalCode !== null) return true;
    done = await isDone();
    return done;
  };
  await eventually('the operator is done or gone', isOver, 120_000);
  return done;
}
