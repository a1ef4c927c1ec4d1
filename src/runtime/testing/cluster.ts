import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { createLogger } from 'winston';
import { OperatorMetrics } from '../../telemetry/operator-metrics.ts';
import { ApiClient, type Manifest } from '../api-client.ts';
import { systemClock } from '../clock.ts';
import { loadKubeConfig } from '../kube-config.ts';
import { type ApiCall, KubeTransport, type TransportOptions } from '../kube-transport.ts';
import { Manager, type ManagerOptions } from '../manager.ts';
import { defineResource, type KubeObject } from '../types.ts';

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

export const CONFIG_MAPS = defineResource<ConfigMap>({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
});

export const NAMESPACES = defineResource({
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
});

export const silentLogger = createLogger({ silent: true });

/** A client that keeps account of every call it makes. */
export class AuditedCluster {
  readonly client: ApiClient;
  readonly #transport: KubeTransport;
  #calls: ApiCall[] = [];

  constructor(kubeconfigPath: string, options: Partial<TransportOptions> = {}, manager = 'fairlead-test') {
    this.#transport = new KubeTransport(loadKubeConfig({ kubeconfig: kubeconfigPath }), {
      clock: systemClock,
      onCall: (call) => this.#calls.push(call),
      ...options,
    });
    this.client = new ApiClient(this.#transport, manager);
  }

  /** Calls that change something, the lease left out. */
  get writes(): readonly ApiCall[] {
    return this.#calls.filter(({ method, path }) => !['GET', 'WATCH'].includes(method) && !path.includes('/leases'));
  }

  get calls(): readonly ApiCall[] {
    return this.#calls;
  }

  forgetCalls(): void {
    this.#calls = [];
  }

  async createNamespace(): Promise<string> {
    const name = `runtime-${randomBytes(4).toString('hex')}`;
    await this.client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    return name;
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }
}

export function configMap(
  namespace: string,
  name: string,
  data: Record<string, string>,
  labels: Record<string, string> = {},
): Manifest {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name, labels }, data };
}

/** Starts a manager; `stop` ends it as SIGTERM would and passes on what it failed with. */
export function startManager(options: Partial<ManagerOptions> & Pick<ManagerOptions, 'client' | 'controllers'>): {
  readonly manager: Manager;
  readonly ended: Promise<'stopped' | Error>;
  stop(): Promise<'stopped' | Error>;
} {
  const manager = new Manager({
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    metrics: new OperatorMetrics(),
    namespaces: [],
    identity: `test-${randomBytes(4).toString('hex')}`,
    reportingController: 'example.dev/test',
    hashAnnotation: 'example.dev/applied',
    resyncPeriodMs: 3_600_000,
    shutdownGraceMs: 2_000,
    ...options,
  });
  const stopping = new AbortController();
  const ended = manager.run(stopping.signal).then(
    () => 'stopped' as const,
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
  return {
    manager,
    ended,
    stop: async () => {
      stopping.abort();
      return await ended;
    },
  };
}

/** Waits until `condition` holds, which another process decides. @throws Error naming `what` after `timeoutMs`. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`still waiting after ${timeoutMs} ms: ${what}`);
    await delay(20);
  }
}
