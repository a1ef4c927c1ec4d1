import type { ApiClient } from '../api-client.ts';
import type { ManagerOptions } from '../manager.ts';
import { DONE, type Result } from '../outcome.ts';
import type { ControllerDefinition, ReconcileContext, Watch } from '../reconcile-context.ts';
import { controllerReference, defineResource, type KubeObject, type Resource } from '../types.ts';
import { AuditedCluster, CONFIG_MAPS, type ConfigMap, configMap, eventually, startManager } from './cluster.ts';

/** Nobody else acts on them here: no controller manager runs. */
export interface Deployment extends KubeObject {
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly spec?: { readonly containers?: readonly { readonly image?: string }[] } };
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly readyReplicas?: number;
  };
}

export const DEPLOYMENTS = defineResource<Deployment>({
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  plural: 'deployments',
  namespaced: true,
});

const PRIMARY = { role: 'primary' };
export const CHILD = { role: 'child' };

/** A namespace, a user who edits in it, and managers that each work on it through a client of their own. */
export class ManagerFixture {
  readonly user: AuditedCluster;
  readonly namespace: string;
  readonly #kubeconfig: string;

  private constructor(kubeconfig: string, user: AuditedCluster, namespace: string) {
    this.#kubeconfig = kubeconfig;
    this.user = user;
    this.namespace = namespace;
  }

  static async make(kubeconfig: string): Promise<ManagerFixture> {
    const user = new AuditedCluster(kubeconfig, {}, 'kubectl-edit');
    return new ManagerFixture(kubeconfig, user, await user.createNamespace());
  }

  async close(): Promise<void> {
    await this.user.close();
  }

  createPrimary(name: string, data: Record<string, string> = {}): Promise<ConfigMap> {
    return this.user.client.create(CONFIG_MAPS, configMap(this.namespace, name, data, PRIMARY));
  }

  getDeployment(name: string): Promise<Deployment> {
    return this.user.client.get(DEPLOYMENTS, { namespace: this.namespace, name });
  }

  exists(name: string): Promise<boolean> {
    return this.getDeployment(name).then(
      () => true,
      () => false,
    );
  }

  start(definition: ControllerDefinition, options: Partial<ManagerOptions> = {}) {
    const { namespace } = this;
    const cluster = new AuditedCluster(this.#kubeconfig);
    const sight = new Sight(definition);
    const running = startManager({
      client: cluster.client,
      controllers: [sight.definition],
      namespaces: [namespace],
      ...options,
    });
    const { manager } = running;
    return {
      ...running,
      cluster,
      /** Waits until the manager has seen all that is there now, and has nothing left to do about it. */
      idle: () =>
        eventually(
          'an idle manager',
          async () => manager.hasSynced && (await sight.isOfAll(this.user.client, namespace)) && manager.isIdle,
        ),
      end: async () => {
        const outcome = await running.stop();
        await cluster.close();
        return outcome;
      },
    };
  }
}

/** Which version of each object has come into a manager's caches. */
class Sight {
  /** The definition to run in place of the one that was given. */
  readonly definition: ControllerDefinition;
  readonly #resources: ReadonlySet<Resource>;
  readonly #versions = new Map<string | undefined, string | undefined>();

  constructor(definition: ControllerDefinition) {
    const { primary, owns, watches } = definition;
    this.#resources = new Set([primary, ...owns, ...watches].map(({ resource }) => resource));
    const transform = (object: KubeObject): KubeObject => {
      this.#versions.set(object.metadata.uid, object.metadata.resourceVersion);
      return object;
    };
    const seen = <W extends Watch>(watch: W): W => ({ ...watch, transform });
    this.definition = { ...definition, primary: seen(primary), owns: owns.map(seen), watches: watches.map(seen) };
  }

  /** Whether that is the newest one of all that are there. */
  async isOfAll(client: ApiClient, namespace: string): Promise<boolean> {
    for (const resource of this.#resources) {
      const { items } = await client.list(resource, { namespace });
      if (items.some(({ metadata }) => this.#versions.get(metadata.uid) !== metadata.resourceVersion)) return false;
    }
    return true;
  }
}

/** Both primaries and what they own are ConfigMaps, told apart by a label. */
export function controller(
  reconcile: (object: ConfigMap, context: ReconcileContext) => Promise<Result>,
  change: Partial<ControllerDefinition<ConfigMap>> = {},
): ControllerDefinition {
  const definition: ControllerDefinition<ConfigMap> = {
    name: 'test',
    primary: { resource: CONFIG_MAPS },
    owns: [{ resource: CONFIG_MAPS }, { resource: DEPLOYMENTS }],
    watches: [],
    reconcile: async (object, context) =>
      object.metadata.labels?.role === 'primary' ? await reconcile(object, context) : DONE,
    ...change,
  };
  return definition as ControllerDefinition;
}

/** A Deployment with what a server defaults and normalises: quantities, ports, probes, volumes. */
export function desiredDeployment(owner: ConfigMap, image = 'example.dev/server:1') {
  const name = owner.metadata.name;
  return {
    metadata: {
      namespace: owner.metadata.namespace ?? '',
      name,
      labels: CHILD,
      ownerReferences: [controllerReference(owner)],
    },
    spec: {
      replicas: Number(owner.data?.replicas ?? 1),
      selector: { matchLabels: { app: name } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 } },
      template: {
        metadata: { labels: { app: name }, annotations: { empty: '' } },
        spec: {
          securityContext: {},
          containers: [
            {
              name: 'server',
              image,
              args: ['serve', '--port=8080'],
              env: [
                { name: 'A', value: '' },
                { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
              ],
              ports: [{ containerPort: 8080 }, { name: 'metrics', containerPort: 9090, protocol: 'TCP' }],
              resources: {
                requests: { cpu: '1000m', memory: '1024Mi' },
                limits: { memory: '1.5Gi', 'nvidia.com/gpu': 1 },
              },
              readinessProbe: { httpGet: { path: '/ready', port: 'metrics' }, periodSeconds: 5 },
              volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
            },
          ],
          tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists' }],
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: { app: name } },
            },
          ],
          volumes: [{ name: 'tmp', emptyDir: {} }],
        },
      },
    },
  };
}

/** Makes of every primary a Deployment. */
export function applying(image?: string): ControllerDefinition {
  return controller(async (object, context) => {
    await context.apply(DEPLOYMENTS, desiredDeployment(object, image));
    return DONE;
  });
}
