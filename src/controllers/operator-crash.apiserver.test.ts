import type { ChildProcess } from 'node:child_process';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { ownKubeconfig } from '../../e2e/cluster/own-control-plane.ts';
import { ANNOTATIONS, LABELS } from '../api/names.ts';
import { findCondition } from '../runtime/conditions.ts';
import { eventually } from '../runtime/testing/cluster.ts';
import { MODEL_DEPLOYMENTS } from './kinds.ts';
import {
  AUTOSCALERS,
  DEPLOYMENTS,
  type Deployment,
  DISRUPTION_BUDGETS,
  JOBS,
  SERVICE_ACCOUNTS,
  SERVICES,
} from './resources.ts';
import { ApiGateway, type CutOff } from './testing/api-gateway.ts';
import { kill, startOperatorProcess } from './testing/operator-process.ts';
import { PlayedCluster } from './testing/played-cluster.ts';

const kubeconfig = ownKubeconfig();
const OBJECTS = 50;
const ROUNDS = ['1', '2', '3'];
const KILLS_A_ROUND = 3;
const KILLS = ROUNDS.length * KILLS_A_ROUND;
/** Fewer in all than the writes that a round needs, so that every kill comes before the work is done. */
const MOST_WRITES = 60;
const SEED = 20_260_101;

let cluster: PlayedCluster;
let gateway: ApiGateway;
let operator: ChildProcess | undefined;

const digestOf = (text: string) => Buffer.from(text).toString('hex').padEnd(64, '0').slice(-64);

beforeEach(async () => {
  cluster = new PlayedCluster(kubeconfig, {
    pod: () => 'ready',
    job: ({ metadata }) => ({
      succeeds: true,
      message: JSON.stringify({ sha256: digestOf(metadata.name), sizeBytes: 1 }),
    }),
  });
  await cluster.start();
  gateway = await ApiGateway.to(kubeconfig);
});
afterEach(async () => {
  operator?.kill('SIGKILL');
  await gateway.close();
  await cluster.stop();
});

const startOperator = () => startOperatorProcess(inject('program'), gateway.kubeconfigPath, cluster.namespace);

const name = (index: number) => `md-${index}`;

/** A third each: with a digest, without one (a Job resolves it), and autoscaled. */
function specOf(index: number, round: string): object {
  const uri = `s3://models/${index}/${round}/`;
  const resources = { requests: { cpu: '1' } };
  if (index % 3 === 0) return { model: { uri, sha256: round.repeat(64) }, replicas: 2 };
  if (index % 3 === 1) return { model: { uri }, replicas: 1 };
  return { model: { uri, sha256: round.repeat(64) }, autoscaling: { minReplicas: 2, maxReplicas: 4 }, resources };
}

async function changeAll(round: string): Promise<void> {
  for (let index = 0; index < OBJECTS; index++) {
    const spec = specOf(index, round);
    if (round !== ROUNDS[0]) {
      await cluster.client.mergePatch(MODEL_DEPLOYMENTS, { namespace: cluster.namespace, name: name(index) }, { spec });
      continue;
    }
    const metadata = { name: name(index), namespace: cluster.namespace };
    await cluster.client.create(MODEL_DEPLOYMENTS, {
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'ModelDeployment',
      metadata,
      spec,
    });
  }
}

/** At a write somewhere in the work, lost on its way or carried out and never answered; the same in every run. */
function cutOffs(): readonly CutOff[] {
  let state = SEED;
  const next = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return Array.from({ length: KILLS }, () => ({ afterWrites: 1 + next(MOST_WRITES), isCarriedOut: next(2) === 1 }));
}

test(`an operator killed ${KILLS} times between two writes while ${OBJECTS} objects change ends with every object right and none too many`, async () => {
  let changes: Promise<void> = Promise.resolve();
  for (const [index, cutOff] of cutOffs().entries()) {
    if (index % KILLS_A_ROUND === 0) {
      await changes;
      changes = changeAll(ROUNDS[index / KILLS_A_ROUND] ?? '');
    }
    const reached = gateway.cutOff(cutOff);
    operator = startOperator();
    await reached;
    await kill(operator);
    // It had written, and was about to write more: what it left undone is the next one's.
    expect(gateway.writes).toBeGreaterThanOrEqual(cutOff.afterWrites);
  }
  await changes;
  gateway.open();
  operator = startOperator();
  const last = ROUNDS.at(-1) ?? '';
  await eventually(
    'every object is Ready with the last model',
    async () =>
      (await cluster.list(MODEL_DEPLOYMENTS)).every(
        ({ metadata, status }) =>
          status?.observedGeneration === metadata.generation &&
          status?.model?.uri?.endsWith(`/${last}/`) === true &&
          findCondition(status.conditions, 'Ready')?.status === 'True',
      ),
    240_000,
  );
  // The last kill left work too: this operator was not merely looking on.
  expect(gateway.writes).toBeGreaterThan(0);
  await eventually('no Job is left', async () => (await cluster.list(JOBS)).length === 0);

  const deployments = await cluster.list(DEPLOYMENTS);
  const byOwner = Map.groupBy(deployments, ({ metadata }) => metadata.labels?.[LABELS.modelDeployment] ?? '');
  const runs = ({ spec }: Deployment) => (spec?.replicas ?? 1) > 0;
  for (let index = 0; index < OBJECTS; index++) {
    const own = byOwner.get(name(index)) ?? [];
    const running = own.filter(runs);
    expect(running.map(({ metadata }) => metadata.annotations?.[ANNOTATIONS.modelUri])).toEqual([
      `s3://models/${index}/${last}/`,
    ]);
    // One for each model that the user asked for, at most: nothing was made twice under another name.
    expect(new Set(own.map(({ metadata }) => metadata.annotations?.[ANNOTATIONS.modelUri])).size).toBe(own.length);
    expect(own.length).toBeLessThanOrEqual(3);
  }
  const managed = (objects: readonly { metadata: { labels?: Readonly<Record<string, string>> } }[]) =>
    objects.filter(({ metadata }) => metadata.labels?.[LABELS.managedBy] === 'fairlead').length;
  const autoscaled = Array.from({ length: OBJECTS }, (_, index) => index).filter((index) => index % 3 === 2).length;
  const several = Array.from({ length: OBJECTS }, (_, index) => index).filter((index) => index % 3 !== 1).length;
  expect({
    services: managed(await cluster.list(SERVICES)),
    accounts: managed(await cluster.list(SERVICE_ACCOUNTS)),
    autoscalers: managed(await cluster.list(AUTOSCALERS)),
    budgets: managed(await cluster.list(DISRUPTION_BUDGETS)),
  }).toEqual({ services: OBJECTS + deployments.length, accounts: OBJECTS, autoscalers: autoscaled, budgets: several });
}, 480_000);
