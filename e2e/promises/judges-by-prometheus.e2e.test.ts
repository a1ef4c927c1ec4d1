import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { NODE_IP } from '../cluster/address-plan.ts';
import { isOwnNode, OWN_NODE } from '../cluster/own-node.ts';
import { describeWhere } from '../describe-where.ts';
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
import { startLoad } from '../load/load.ts';
import type { Load } from '../load/load-pod.ts';
import { readModel } from '../model-store.ts';
import { metricsAddress, untilRouters } from '../routers.ts';
import { startPrometheusServer } from '../services/prometheus-server.ts';
import type { RunningService } from '../services/service.ts';

const NAME = 'model';
const LOAD = { ratePerSecond: 100, connections: 8 };
const GOOD = 'breast-cancer-v2.onnx';
const FAILING = 'breast-cancer-failing.onnx';
const OTHER = 'breast-cancer-v1.onnx';
/** A first run on a machine fetches Prometheus. */
const WITH_DOWNLOAD_MS = 600_000;

const ofCanary = 'model_deployment="$(name)",revision="$(canary)"';
/** As routers count them: the share of the last seconds' requests to the canary that ended in an error. */
const ERROR_SHARE =
  `sum(rate(router_requests_total{${ofCanary},outcome="error"}[5s])) ` +
  `/ sum(rate(router_requests_total{${ofCanary}}[5s]))`;

describeWhere(isOwnNode, OWN_NODE)('a canary that is judged by Prometheus', () => {
  const namespace = useNamespace('e2e-prometheus');
  let targets: readonly string[];
  let prometheus: RunningService;
  let load: Load;

  const serve = (file: string) =>
    kubectl().patch('md', namespace, NAME, { spec: { model: { uri: storeUri(namespace, file) } } });
  const asked = () => ({
    name: 'complaints',
    prometheus: { address: prometheus.url, query: ERROR_SHARE, timeout: '2s' },
    success: 'result < 0.02',
    consecutiveErrorLimit: 2,
  });

  beforeAll(async () => {
    await startModelStore(namespace, { [FAILING]: readModel(FAILING) });
    await kubectl().apply(modelDeployment(namespace, NAME, { rollout: { strategy: 'Canary' } }));
    await untilReady(namespace, NAME);
    targets = (await untilRouters(namespace)).map(metricsAddress);
    prometheus = await startPrometheusServer({ host: NODE_IP, targets });
    const analysis = { interval: '1s', metrics: [asked()] };
    const steps = [{ weight: 25, hold: '3s' }, { weight: 50 }];
    await kubectl().patch('md', namespace, NAME, { spec: { rollout: { steps, analysis } } });
  }, WITH_DOWNLOAD_MS);
  afterAll(async () => await prometheus?.stop());
  beforeEach(async () => {
    load = await startLoad(namespace, NAME, LOAD);
  });
  afterEach(async () => {
    await load.stop();
  });

  it('is promoted while the condition over what routers count holds', async () => {
    await serve(GOOD);
    const { end, steps } = await followRollout(namespace, NAME);
    expect(end.status.phase, JSON.stringify(end.status)).toBe('Ready');
    expect(end.status.model.uri).toContain(GOOD);
    expect(steps).toEqual(['1/3', '2/3', '3/3']);
  });

  it('is taken back when the condition does not hold, and the number is told', async () => {
    await serve(FAILING);
    const { end, weights } = await followRollout(namespace, NAME);
    expect(end.status.phase, JSON.stringify(end.status)).toBe('RolledBack');
    expect(end.status.failedRevision.message).toMatch(/complaints: failed \(1\) > limit \(0\), last (0\.\d+|1)$/);
    expect(weights).not.toContain(100);
  });

  it('waits for a person where Prometheus cannot be asked, also when it is back: no error is ever a pass', async () => {
    await prometheus.stop();
    await serve(OTHER);
    const { end, weights } = await followRollout(namespace, NAME);
    expect(end.status.phase, JSON.stringify(end.status)).toBe('Paused');
    expect(end.status.rollout).toMatchObject({ step: '1/3', paused: 'AnalysisError', verdict: 'Error' });
    expect(end.status.rollout.message).toMatch(
      /complaints: errors in a row \(3\) > limit \(2\), last http:.* cannot be asked: .*ECONNREFUSED/,
    );
    const port = Number(new URL(prometheus.url).port);
    prometheus = await startPrometheusServer({ host: NODE_IP, port, targets });
    const back = await until(namespace, NAME, ({ status }) => status.rollout?.verdict === 'Healthy');
    expect(back.status).toMatchObject({ phase: 'Paused', canary: { weight: 25 } });
    expect(back.status.rollout.message).toMatch(/now Healthy; resume, promote or abort$/);
    expect(weights).toEqual([0, 25]);
  });
});
