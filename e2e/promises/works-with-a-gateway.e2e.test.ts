import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { inferByGrpc } from '../client/grpc.ts';
import { inferRows, predictions } from '../client/rest.ts';
import { isOwnNode, OWN_NODE } from '../cluster/own-node.ts';
import { untilEstablished, waitFor } from '../cluster/wait.ts';
import { describeWhere } from '../describe-where.ts';
import {
  kubeconfigPath,
  kubectl,
  modelDeployment,
  startModelStore,
  storeUri,
  until,
  untilReady,
  useNamespace,
} from '../environment.ts';
import { type ClusterObject, condition } from '../kubectl.ts';
import { breastCancer } from '../models/data.ts';
import { gatewayApiCrds } from '../services/gateway-api.ts';
import { GATEWAY_CLASS, type GatewayProxy, startTraefik } from '../services/traefik.ts';

const NAME = 'model';
const OLD = 'breast-cancer-v1.onnx';
const NEW = 'breast-cancer-v2.onnx';
const ROLLOUT_MS = 150_000;
/** A first run on a machine builds the gateway. */
const WITH_BUILD_MS = 1_800_000;

/** A row of which the two versions say the same, each as surely as only it is. */
const ROW = 1;
const data = breastCancer();
const sureness = (version: string) => data.expected[version]?.probabilities[ROW]?.[1] ?? Number.NaN;
const BETWEEN = (sureness('breast-cancer-v1') + sureness('breast-cancer-v2')) / 2;
const row = data.rows.slice(ROW, ROW + 1);

/** Which version answers a request that comes by the gateway. */
async function answeredBy(url: string): Promise<'old' | 'new'> {
  const [prediction] = predictions(await inferRows(url, NAME, row));
  return (prediction?.probability ?? Number.NaN) > BETWEEN ? 'new' : 'old';
}

/** Asks all the time, a request after the other, and counts who answers. */
class Clients {
  readonly answers = { old: 0, new: 0 };
  readonly failures: string[] = [];
  readonly #stop = new AbortController();
  readonly #asking: Promise<unknown>;

  constructor(url: string, count: number) {
    this.#asking = Promise.all(Array.from({ length: count }, () => this.#ask(url)));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#asking;
  }

  /** The share of the new version in the next `count` answers. */
  async shareOfNew(count: number): Promise<number> {
    const before = { ...this.answers };
    const more = () => this.answers.old + this.answers.new - before.old - before.new;
    while (more() < count && this.failures.length === 0) await delay(20);
    return (this.answers.new - before.new) / more();
  }

  /** Waits for the proxy, which follows the control plane within moments: until the new version has at least this share. */
  async untilShareOfNew(least: number): Promise<void> {
    const reached = async () => {
      const share = await this.shareOfNew(50);
      return share >= least || `${share} of 50 answers`;
    };
    await waitFor(`a share of ${least} for the new version`, reached, { timeoutMs: 30_000 });
  }

  async #ask(url: string): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        this.answers[await answeredBy(url)] += 1;
      } catch (error) {
        this.failures.push(String(error));
      }
      await delay(10);
    }
  }
}

// Traefik runs on this machine, from where pods of another cluster cannot be reached.
describeWhere(isOwnNode, OWN_NODE)('a gateway of the cluster, which is Traefik here', () => {
  const namespace = useNamespace('e2e-gateway');
  let proxy: GatewayProxy;
  let url: string;
  let crds: string;

  const traffic = {
    provider: 'GatewayAPI',
    expose: { gateway: { name: 'public', sectionName: 'http', grpc: { sectionName: 'grpc' } } },
  };
  const rollout = {
    strategy: 'Canary',
    steps: [{ smoke: {} }, { weight: 20, hold: 'UntilPromoted' }, { weight: 60, hold: 'UntilPromoted' }],
    analysis: { metrics: [] },
  };
  /** As `kubectl fairlead promote` does it: in one's own name, or the API server refuses it. */
  async function promote({ status }: ClusterObject): Promise<void> {
    const by = (await kubectl().run(['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'])).trim();
    const annotations = { 'fairlead.dev/action': `promote${status.rollout.action}`, 'fairlead.dev/action-by': by };
    await kubectl().patch('md', namespace, NAME, { metadata: { annotations } });
  }
  const heldAt = (weight: number) =>
    until(
      namespace,
      NAME,
      ({ status }) => status.canary?.weight === weight && status.route?.acknowledged === true,
      ROLLOUT_MS,
    );

  beforeAll(async () => {
    crds = await gatewayApiCrds();
    await kubectl().run(['apply', '--server-side', '--force-conflicts', '-f', crds]);
    await untilEstablished((...args) => kubectl().run([...args, '-f', crds]));
    proxy = await startTraefik(kubeconfigPath());
    url = `http://127.0.0.1:${proxy.ports.http}`;
    const listener = (name: 'http' | 'grpc') => ({ name, protocol: 'HTTP', port: proxy.ports[name] });
    await kubectl().apply(GATEWAY_CLASS, {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { name: 'public', namespace },
      spec: { gatewayClassName: GATEWAY_CLASS.metadata.name, listeners: [listener('http'), listener('grpc')] },
    });
    await startModelStore(namespace);
    await kubectl().apply(modelDeployment(namespace, NAME, { replicas: 2, rollout, traffic }));
    await untilReady(namespace, NAME);
    // The control plane has taken the routes; its proxy follows within moments.
    const asked = async () => {
      await answeredBy(url);
      await inferByGrpc(`127.0.0.1:${proxy.ports.grpc}`, NAME, row);
      return true as const;
    };
    await waitFor('an answer by the gateway', asked, { timeoutMs: 30_000 });
    await until(namespace, NAME, ({ status }) => status.address.external !== undefined);
  }, WITH_BUILD_MS);
  afterAll(async () => {
    await kubectl().run(['delete', '--ignore-not-found', '--timeout=240s', '-f', crds]);
    await proxy?.stop();
  });

  it('leads clients outside of the cluster to the model, by REST and gRPC, and status says where', async () => {
    const { status } = await kubectl().get('md', namespace, NAME);
    expect(status.address.external).toEqual({ http: url, grpc: `127.0.0.1:${proxy.ports.grpc}` });
    expect(await answeredBy(url)).toBe('old');
    const labels = await inferByGrpc(`127.0.0.1:${proxy.ports.grpc}`, NAME, data.rows);
    expect(labels).toEqual(data.expected['breast-cancer-v1']?.label);
  });

  it('splits a canary by its weights, and no request is lost on the way', async () => {
    const clients = new Clients(url, 4);
    await kubectl().patch('md', namespace, NAME, { spec: { model: { uri: storeUri(namespace, NEW) } } });
    const atTwenty = await heldAt(20);
    await clients.untilShareOfNew(0.1);
    expect(await clients.shareOfNew(300)).toBeCloseTo(0.2, 1);
    await promote(atTwenty);
    const atSixty = await heldAt(60);
    await clients.untilShareOfNew(0.4);
    expect(await clients.shareOfNew(300)).toBeCloseTo(0.6, 1);
    await promote(atSixty);
    await until(namespace, NAME, ({ status }) => status.phase === 'Ready', ROLLOUT_MS);
    await clients.untilShareOfNew(1);
    expect(await clients.shareOfNew(100)).toBe(1);
    await clients.stop();
    expect(clients.failures).toEqual([]);
    expect(await inferByGrpc(`127.0.0.1:${proxy.ports.grpc}`, NAME, data.rows)).toEqual(
      data.expected['breast-cancer-v2']?.label,
    );
  });

  it('refuses a mirror that this gateway would turn into errors', async () => {
    await kubectl().patch('md', namespace, NAME, {
      spec: { rollout: { strategy: 'Shadow', steps: null, analysis: null }, model: { uri: storeUri(namespace, OLD) } },
    });
    const refused = await until(namespace, NAME, (object) => condition(object, 'Accepted')?.status === 'False');
    expect(condition(refused, 'Accepted')).toMatchObject({
      reason: 'UnsupportedByGateway',
      message: expect.stringContaining('HTTPRouteRequestMirror'),
    });
    expect(await answeredBy(url)).toBe('new');
  });
});
