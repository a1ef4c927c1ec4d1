import { randomBytes } from 'node:crypto';
import { createLogger } from 'winston';
import { ApiClient } from '../../runtime/api-client.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { loadKubeConfig } from '../../runtime/kube-config.ts';
import { type ApiCall, KubeTransport } from '../../runtime/kube-transport.ts';
import { Manager } from '../../runtime/manager.ts';
import { OperatorMetrics } from '../../telemetry/operator-metrics.ts';
import type { QueryRunner } from '../modeldeployment/analysis/queries.ts';
import type { FetchCounts } from '../modeldeployment/counts/reader.ts';
import { controllers } from '../registry.ts';

export interface OperatorOptions {
  readonly namespace: string;
  readonly serverImage?: string;
  readonly clock?: Clock;
  /** What routers and servers count; none can be read where it is left out. */
  readonly fetchCounts?: FetchCounts;
  /** What metrics outside say; none can be asked where it is left out. */
  readonly runQuery?: QueryRunner;
}

/** The operator's controllers in this process, with an account of every call that they make. */
export class OperatorUnderTest {
  readonly manager: Manager;
  readonly #transport: KubeTransport;
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  #calls: ApiCall[] = [];

  constructor(kubeconfig: string, options: OperatorOptions) {
    const { namespace, serverImage = 'example.com/fairlead:1', clock = systemClock } = options;
    const { fetchCounts = () => Promise.reject(new Error('no counts are played')) } = options;
    const { runQuery = () => Promise.reject(new Error('no query is played')) } = options;
    this.#transport = new KubeTransport(loadKubeConfig({ kubeconfig }), {
      clock: systemClock,
      onCall: (call) => this.#calls.push(call),
    });
    this.manager = new Manager({
      client: new ApiClient(this.#transport, 'fairlead'),
      clock,
      random: Math.random,
      logger: createLogger({ silent: true }),
      metrics: new OperatorMetrics(),
      controllers: controllers({
        serverImage,
        serverImageCuda: `${serverImage}-cuda`,
        registries: { image: serverImage, role: { kind: 'ClusterRole', name: 'fairlead-registry' } },
        routers: {
          image: serverImage,
          role: { kind: 'ClusterRole', name: 'fairlead-router' },
          minReplicas: 2,
          maxReplicas: 4,
          cpu: '100m',
          memory: '128Mi',
        },
        workers: 8,
        clock,
        fetchCounts,
        runQuery,
      }),
      namespaces: [namespace],
      identity: `test-${randomBytes(4).toString('hex')}`,
      reportingController: 'fairlead.dev/operator',
      hashAnnotation: 'fairlead.dev/applied',
      resyncPeriodMs: 3_600_000_000,
      shutdownGraceMs: 2_000,
    });
    this.#ended = this.manager.run(this.#stopping.signal);
  }

  /** Calls that change something. */
  get writes(): readonly string[] {
    return this.#calls
      .filter(({ method }) => !['GET', 'WATCH'].includes(method))
      .map(({ method, path }) => `${method} ${path}`);
  }

  /** Calls of any kind but the watches that go on. */
  get calls(): readonly string[] {
    return this.#calls.filter(({ method }) => method !== 'WATCH').map(({ method, path }) => `${method} ${path}`);
  }

  forgetCalls(): void {
    this.#calls = [];
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
    await this.#transport.close();
  }
}
