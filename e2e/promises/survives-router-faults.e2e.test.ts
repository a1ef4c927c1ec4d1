import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isOwnNode, killContainer } from '../cluster/own-node.ts';
import {
  BREAST_CANCER,
  kubectl,
  modelDeployment,
  startModelStore,
  storeUri,
  until,
  untilReady,
  useNamespace,
} from '../environment.ts';
import { followRollout } from '../follow-rollout.ts';
import type { ClusterObject } from '../kubectl.ts';
import { startLoad } from '../load/load.ts';
import type { Load, LoadSummary } from '../load/load-pod.ts';
import { requestsOfRouters, untilRouters } from '../routers.ts';

const NAME = 'model';
const LOAD = { ratePerSecond: 100, connections: 8 };
const ERRORS = { name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '5%' } };
const rolloutBy = (...metrics: readonly object[]) => ({
  strategy: 'Canary',
  steps: [
    { weight: 25, hold: '3s' },
    { weight: 50, hold: '8s' },
  ],
  analysis: { interval: '1s', minRequests: 100, metrics },
});

describe('a rollout under load', () => {
  const namespace = useNamespace('e2e-router-faults');
  const deleteByForce = (pods: readonly ClusterObject[]) =>
    kubectl().run([
      ...['delete', 'pod', '-n', namespace, '--grace-period=0', '--force'],
      ...pods.map(({ metadata }) => metadata.name),
    ]);
  const killAll = (pods: readonly ClusterObject[]) =>
    Promise.all(pods.map(({ status }) => killContainer(status.containerStatuses[0].containerID)));
  let atStart: ReadonlyMap<string, number>;
  let load: Load;

  beforeAll(async () => {
    await startModelStore(namespace);
    await kubectl().apply(modelDeployment(namespace, NAME, { replicas: 3, rollout: rolloutBy() }));
    await untilReady(namespace, NAME);
  });
  beforeEach(async () => {
    await untilRouters(namespace);
    atStart = await requestsOfRouters(namespace);
    load = await startLoad(namespace, NAME, LOAD);
  });

  /** Rolls out the other model, and lets a fault happen as soon as the canary has half of the traffic. */
  async function goesOn(rollout: object, fault: (canary: string) => Promise<unknown>): Promise<LoadSummary> {
    const before = await kubectl().get('md', namespace, NAME);
    const file = before.status.model.uri.endsWith(BREAST_CANCER) ? 'breast-cancer-v2.onnx' : BREAST_CANCER;
    const uri = storeUri(namespace, file);
    await kubectl().patch('md', namespace, NAME, { spec: { model: { uri }, rollout } });
    const followed = followRollout(namespace, NAME);
    const half = await until(namespace, NAME, ({ status }) => status.canary?.weight === 50);
    await fault(String(half.status.canary.revision));
    const { end, steps } = await followed;
    expect(end.status, JSON.stringify(end.status)).toMatchObject({ phase: 'Ready', model: { uri } });
    expect(steps).toEqual(['1/3', '2/3', '3/3']);
    return load.stop();
  }

  /** A client with few connections may have them all with one router. */
  async function busiestRouter(): Promise<ClusterObject> {
    const since = [...(await requestsOfRouters(namespace))].map(
      ([name, requests]) => [name, requests - (atStart.get(name) ?? 0)] as const,
    );
    const [busiest] = since.reduce((a, b) => (b[1] > a[1] ? b : a));
    return kubectl().get('pod', namespace, busiest);
  }

  const MANNERS = [
    ['by force', deleteByForce],
    ['without a warning', killAll],
  ] as const;
  const skipElsewhere = (kill: unknown, skip: (condition: boolean, reason: string) => void) =>
    skip(kill === killAll && !isOwnNode, 'the processes of pods are on another machine');

  it.for(MANNERS)(
    'goes on when a router ends %s, and loses at most what was on its sockets',
    async ([, kill], test) => {
      skipElsewhere(kill, test.skip);
      const summary = await goesOn(rolloutBy(ERRORS), async () => kill([await busiestRouter()]));
      // A connection that the node refuses until its endpoints follow carried no request: any client may try again.
      const lost = summary.failed - (summary.failures.ECONNREFUSED ?? 0);
      expect(lost, JSON.stringify(summary)).toBeLessThanOrEqual(LOAD.connections);
    },
  );

  // Without a metric: a burst of errors is what such a canary is about, and no verdict comes of a single burst.
  it.for(MANNERS)('goes on when all pods of a canary end %s, and others answer', async ([, kill], test) => {
    skipElsewhere(kill, test.skip);
    let pods: readonly ClusterObject[] = [];
    const summary = await goesOn(rolloutBy(), async (canary) => {
      pods = await kubectl().list('pods', namespace, `fairlead.dev/revision=${canary}`);
      await kill(pods);
    });
    // What a model may have begun to answer is not asked again: it may not be safe to. Who lost the one pod's answer may
    // be with the other when that one ends.
    expect(summary.failed, JSON.stringify(summary)).toBeLessThanOrEqual(LOAD.connections * pods.length);
  });
});
