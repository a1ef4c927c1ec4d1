import { ANNOTATIONS } from '../../api/names.ts';
import type { Manifest } from '../../runtime/api-client.ts';
import type { Clock } from '../../runtime/clock.ts';
import { type Condition, findCondition } from '../../runtime/conditions.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { MODEL_DEPLOYMENTS, type ModelDeployment } from '../kinds.ts';
import { NUMBERS_INTERVAL_MS } from '../modeldeployment/reporter.ts';
import { DEPLOYMENTS, type Deployment } from '../resources.ts';
import { type OperatorOptions, OperatorUnderTest } from './operator-under-test.ts';
import { type Play, PlayedCluster } from './played-cluster.ts';

/** Longer than a write of status may be put off, which makes nobody busy meanwhile. */
const QUIET_MS = NUMBERS_INTERVAL_MS + 200;

/** The name of the ModelDeployment that tests speak of unless they say otherwise. */
export const NAME = 'churn';

export const digest = (digit: string) => digit.repeat(64);
/** A model that is one digit away from another. */
export const model = (digit: string) => ({ uri: `s3://models/churn/${digit}/`, sha256: digest(digit) });

export const conditionOf = (object: ModelDeployment, type: string): Condition | undefined =>
  findCondition(object.status?.conditions, type);
export const isReady = (object: ModelDeployment) => conditionOf(object, 'Ready')?.status === 'True';
export const serves = (digit: string) => (object: ModelDeployment) =>
  isReady(object) && object.status?.model?.sha256 === digest(digit);
/** The digest that a revision's Deployment is pinned to. */
export const served = (deployment: Deployment) => deployment.metadata.annotations?.[ANNOTATIONS.modelSha256];

/** The status of a pod whose server gave up for this reason, time and again. */
export const loadFails = (reason: string) => ({
  phase: 'Running',
  containerStatuses: [
    {
      name: 'server',
      ready: false,
      restartCount: 3,
      image: 'x',
      imageID: '',
      state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } },
      lastState: { terminated: { exitCode: 1, message: JSON.stringify({ reason, message: `because of ${reason}` }) } },
    },
  ],
});

/** What a test does as a user of one namespace, and what it sees there. */
export class Tenant {
  readonly cluster: PlayedCluster;
  readonly #kubeconfig: string;
  readonly #operators = new Set<OperatorUnderTest>();

  constructor(kubeconfig: string, cluster: PlayedCluster) {
    this.#kubeconfig = kubeconfig;
    this.cluster = cluster;
  }

  startOperator(options: Omit<OperatorOptions, 'namespace'> = {}): OperatorUnderTest {
    const operator = new OperatorUnderTest(this.#kubeconfig, { namespace: this.cluster.namespace, ...options });
    this.#operators.add(operator);
    return operator;
  }

  async stopOperator(operator: OperatorUnderTest): Promise<void> {
    this.#operators.delete(operator);
    await operator.stop();
  }

  async leave(): Promise<void> {
    for (const operator of this.#operators) await operator.stop();
    await this.cluster.stop();
  }

  play(change: Partial<Play>): void {
    this.cluster.play = { ...this.cluster.play, ...change };
  }

  manifest(kind: string, name: string, spec: object): Manifest {
    return { apiVersion: 'fairlead.dev/v1alpha1', kind, metadata: { name, namespace: this.cluster.namespace }, spec };
  }

  async create(spec: object, name = NAME): Promise<void> {
    await this.cluster.client.create(MODEL_DEPLOYMENTS, this.manifest('ModelDeployment', name, spec));
  }

  async change(spec: object, name = NAME): Promise<void> {
    await this.cluster.client.mergePatch(MODEL_DEPLOYMENTS, { namespace: this.cluster.namespace, name }, { spec });
  }

  async annotate(annotations: Readonly<Record<string, string | null>>, name = NAME): Promise<void> {
    const object = { namespace: this.cluster.namespace, name };
    await this.cluster.client.mergePatch(MODEL_DEPLOYMENTS, object, { metadata: { annotations } });
  }

  /** Resolves once the API server no longer knows it: at once, as long as no finalizer is in the way. */
  async remove(name = NAME): Promise<ModelDeployment | undefined> {
    await this.cluster.client.delete(MODEL_DEPLOYMENTS, { namespace: this.cluster.namespace, name });
    return await this.cluster.get(MODEL_DEPLOYMENTS, name);
  }

  /** Waits until the status speaks of the current spec and `holds`. */
  async until(what: string, holds: (object: ModelDeployment) => boolean, name = NAME): Promise<ModelDeployment> {
    let seen: ModelDeployment | undefined;
    const isSo = async () => {
      seen = await this.cluster.get(MODEL_DEPLOYMENTS, name);
      return seen !== undefined && seen.status?.observedGeneration === seen.metadata.generation && holds(seen);
    };
    await eventually(what, isSo, 60_000).catch((error: Error) => {
      throw new Error(`${error.message}; status is ${JSON.stringify(seen?.status, undefined, 1)}`);
    });
    return seen as ModelDeployment;
  }

  untilReady(name = NAME): Promise<ModelDeployment> {
    return this.until('Ready', isReady, name);
  }

  untilReason(reason: string, type = 'Ready', name = NAME): Promise<ModelDeployment> {
    return this.until(`${type} says ${reason}`, (object) => conditionOf(object, type)?.reason === reason, name);
  }

  async running(): Promise<readonly Deployment[]> {
    return (await this.cluster.list(DEPLOYMENTS)).filter(({ spec }) => (spec?.replicas ?? 1) > 0);
  }

  /** Waits until no controller has anything to do and nothing was asked of the API server for a moment. */
  async atRest(operator: OperatorUnderTest): Promise<void> {
    await eventually('the operator is at rest', async () => {
      operator.forgetCalls();
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      return operator.manager.hasSynced && operator.manager.isIdle && operator.calls.length === 0;
    });
  }
}

/** Of the test runner, which only tests may import. */
export interface Hooks {
  beforeEach(prepare: () => Promise<void>): void;
  afterEach(tidy: () => Promise<void>): void;
}

/** A namespace of its own for every test, in which pods become ready; what a test started is stopped after it. */
export function tenants(kubeconfig: string, { beforeEach, afterEach }: Hooks, clock?: Clock): () => Tenant {
  let tenant: Tenant | undefined;
  beforeEach(async () => {
    tenant = new Tenant(kubeconfig, new PlayedCluster(kubeconfig, { pod: () => 'ready', job: () => undefined }, clock));
    await tenant.cluster.start();
  });
  afterEach(async () => await tenant?.leave());
  return () => {
    if (tenant === undefined) throw new Error('there is no namespace outside of a test');
    return tenant;
  };
}
