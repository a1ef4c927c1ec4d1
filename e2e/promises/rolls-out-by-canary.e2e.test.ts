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
import { followRollout } from '../follow-rollout.ts';
import type { ClusterObject } from '../kubectl.ts';
import { startLoad } from '../load/load.ts';
import { readModel } from '../model-store.ts';

const NAME = 'model';
const LOAD = { ratePerSecond: 100, connections: 8 };
const ROLLOUT_MS = 150_000;
const GOOD = 'breast-cancer-v1.onnx';
const BETTER = 'breast-cancer-v2.onnx';
const BAD = ['failing', 'slow', 'always-malignant'].map((kind) => `breast-cancer-${kind}.onnx`);

const METRICS = {
  errors: { name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '2%' } },
  latency: { name: 'latency', builtin: 'LatencyP50', maxIncrease: { absolute: '2ms' } },
  predictions: { name: 'predictions', builtin: 'PredictionDistribution', max: '30%' },
  agreement: { name: 'agreement', builtin: 'Agreement', min: '50%' },
};

/** A metric that decides a test is alone in it: what else the machine does is no part of the promise. */
function analysisBy(...names: readonly (keyof typeof METRICS)[]): object {
  return { interval: '1s', minRequests: 200, metrics: names.map((name) => METRICS[name]) };
}

const canaryBy = (...names: readonly (keyof typeof METRICS)[]) => ({
  strategy: 'Canary',
  steps: [{ smoke: {} }, { weight: 25, hold: '3s' }, { weight: 50, hold: '3s' }],
  analysis: analysisBy(...names),
});

describe('a canary under load', () => {
  const namespace = useNamespace('e2e-canary');
  const serve = (file: string, spec: object = {}) =>
    kubectl().patch('md', namespace, NAME, { spec: { model: { uri: storeUri(namespace, file) }, ...spec } });

  beforeAll(async () => {
    await startModelStore(namespace, Object.fromEntries(BAD.map((file) => [file, readModel(file)])));
    await kubectl().apply(
      modelDeployment(namespace, NAME, { replicas: 2, rollout: canaryBy('errors', 'predictions') }),
    );
    await untilReady(namespace, NAME);
  });

  it('promotes a good version by its steps, and loses no request', async () => {
    const load = await startLoad(namespace, NAME, LOAD);
    const before = await kubectl().get('md', namespace, NAME);
    await serve(BETTER);
    const { end, weights } = await followRollout(namespace, NAME);
    const summary = await load.stop();
    expect(end.status.phase, JSON.stringify(end.status)).toBe('Ready');
    expect(end.status.stable.revision).not.toBe(before.status.stable.revision);
    // The last weight ends the rollout, and status may tell the end at once.
    const steps = [25, 50];
    expect([steps, [...steps, 100]]).toContainEqual(weights.filter((weight) => weight > 0));
    expect(summary.failures).toEqual({});
    expect(summary.ok).toBeGreaterThan(500);
  });

  it.each([
    ['errs more', 'failing', 'errors', 'errors'],
    ['is slower', 'slow', 'latency', 'p50'],
    ['predicts nonsense', 'always-malignant', 'predictions', 'predictions'],
  ] as const)('takes back a version that %s by itself, and says why', async (_rule, kind, metric, word) => {
    const load = await startLoad(namespace, NAME, LOAD);
    const before = await kubectl().get('md', namespace, NAME);
    await serve(`breast-cancer-${kind}.onnx`, { rollout: canaryBy(metric) });
    const { end, weights } = await followRollout(namespace, NAME);
    const summary = await load.stop();
    expect(end.status.phase, JSON.stringify(end.status)).toBe('RolledBack');
    expect(end.status.failedRevision.message).toContain(word);
    expect(end.status.stable.revision).toBe(before.status.stable.revision);
    expect(weights).not.toContain(100);
    // Only what the bad version itself answered with an error.
    const allowed = kind === 'failing' ? summary.ok / 10 : 0;
    expect(summary.failed, JSON.stringify(summary)).toBeLessThanOrEqual(allowed);
    await serve(BETTER, { rollout: canaryBy('errors') });
    await untilReady(namespace, NAME);
  });

  it('switches from blue to green at once and back again, without losing a request', async () => {
    const load = await startLoad(namespace, NAME, LOAD);
    await serve(GOOD, { rollout: { strategy: 'BlueGreen', steps: null, analysis: null } });
    const green = await until(
      namespace,
      NAME,
      (object) => object.status.phase === 'Ready' && object.status.model.uri.endsWith(GOOD),
      ROLLOUT_MS,
    );
    await act('undo', green);
    await until(namespace, NAME, ({ status }) => status.phase === 'RolledBack', ROLLOUT_MS);
    expect((await load.stop()).failures).toEqual({});
  });

  it('compares a shadow with what serves, and lets users notice nothing of it', async () => {
    await serve(BETTER, { rollout: { strategy: 'Canary', steps: null, analysis: { metrics: [] } } });
    await untilReady(namespace, NAME);
    const load = await startLoad(namespace, NAME, LOAD);
    const steps = [{ mirror: '50%', hold: 'UntilPromoted' }];
    await serve(BAD[2] ?? '', { rollout: { strategy: 'Shadow', steps, analysis: analysisBy('agreement') } });
    const shadow = await until(
      namespace,
      NAME,
      ({ status }) => status.rollout?.metrics?.[0]?.canary !== undefined,
      ROLLOUT_MS,
    );
    expect(shadow.status.canary.weight).toBe(0);
    expect(shadow.status.rollout.metrics[0]).toMatchObject({ name: 'agreement' });
    const summary = await load.stop();
    expect(summary.failures).toEqual({});
  });

  /** As `kubectl annotate` does it: in one's own name, or the API server refuses it. */
  async function act(verb: string, { status }: ClusterObject): Promise<void> {
    const by = (await kubectl().run(['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'])).trim();
    await kubectl().patch('md', namespace, NAME, {
      metadata: {
        annotations: { 'fairlead.dev/action': `${verb}${status.rollout.action}`, 'fairlead.dev/action-by': by },
      },
    });
  }
});
