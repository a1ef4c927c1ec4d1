import { createHash } from 'node:crypto';
import { access, chmod, copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiregistrationV1Api, CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { configureDns, metricsApi, metricsServer } from './addons.ts';
import { API_SERVER_PORT, NODE_IP, NODE_NAME } from './address-plan.ts';
import { waitForApiServer } from './api-server.ts';
import { createCgroup, removeCgroup } from './cgroups.ts';
import { controlPlaneDaemons, createIdentities } from './cluster-control-plane.ts';
import { command } from './command.ts';
import { Containerd } from './containerd.ts';
import { Daemons } from './daemons.ts';
import { ensureHostPrograms } from './host-programs.ts';
import { removeKubernetesRules } from './iptables.ts';
import { ensureKubernetes, type KubernetesPrograms } from './kubernetes.ts';
import { kwok } from './kwok.ts';
import { withLock } from './lock.ts';
import { createBridge, NETWORK_NAME, removeNetwork, writeCniConfiguration } from './network.ts';
import { configureKubelet, kubeProxy, removeKubeletFiles, unmountBelow } from './node.ts';
import { repositoryRoot, stateRoot } from './paths.ts';
import { ensurePauseImage } from './pause-image.ts';
import type { Pki } from './pki.ts';
import { formatElapsed, type Progress } from './progress.ts';
import { enableForwarding, rememberSysctls, restoreSysctls } from './sysctls.ts';
import { waitFor } from './wait.ts';

/** GPUs that the real node seems to have. */
const FAKE_GPU_RESOURCE = 'nvidia.com/gpu';
const FAKE_GPU_COUNT = 4;

const STEP_TIMEOUT_MS = 60_000;

/** A real node needs root: namespaces, mounts, routes. Without it there are a control plane and kwok. */
export const canRunRealNode = (): boolean => process.getuid?.() === 0;

/** The one cluster of this user on this machine. */
export class Cluster {
  readonly directory: string;
  readonly #daemons: Daemons;
  readonly containerd: Containerd;

  constructor(directory: string = stateRoot) {
    this.directory = directory;
    this.#daemons = new Daemons(directory);
    this.containerd = new Containerd(directory);
  }

  /** Of a user in `system:masters`. */
  get kubeconfigPath(): string {
    return join(this.directory, 'kubeconfig');
  }

  /** Starts what does not run yet and waits until all of it is ready; may be repeated at any time. */
  async up(progress: Progress): Promise<void> {
    await this.#alone(progress, async () => {
      const startMs = performance.now();
      const real = canRunRealNode();
      if (!real) progress('not root: control plane and kwok only, no node that really runs pods');
      const programs = await ensureKubernetes(progress);
      if (real) await this.#prepareMachine(progress);
      const pauseArchive = real ? await ensurePauseImage(progress) : undefined;
      const address = real ? NODE_IP : '127.0.0.1';
      const url = `https://${address}:${API_SERVER_PORT}`;
      await mkdir(join(this.directory, 'pki'), { recursive: true });
      const pki = await createIdentities(join(this.directory, 'pki'), url);
      await this.#startControlPlane(pki, programs, address, progress);
      await this.#daemons.ensure(kwok(pki, programs));
      if (pauseArchive !== undefined) {
        await this.#startNode(pki, programs, pauseArchive, progress);
        await this.#startAddons(pki, programs, progress);
      }
      await copyFile(pki.file('admin.kubeconfig'), this.kubeconfigPath);
      await chmod(this.kubeconfigPath, 0o600);
      progress(`the cluster is ready after ${formatElapsed(performance.now() - startMs)}: ${this.kubeconfigPath}`);
    });
  }

  /** Ends every process and takes back every change to the machine; also of a cluster that is half up or half gone. */
  async down(progress: Progress): Promise<void> {
    await this.#alone(progress, async () => {
      progress('taking the cluster down');
      // First those that would start again what the next steps end.
      const first = [
        'kwok',
        'device-plugin',
        'kube-proxy',
        'metrics-server',
        'coredns',
        'kubelet',
        'kube-controller-manager',
      ];
      await Promise.all(first.map((name) => this.#daemons.stop(name)));
      if (canRunRealNode() && (await this.#exists('sysctls.json'))) {
        await this.#daemons.ensure(await this.containerd.configure());
        await this.containerd.waitUntilReady(this.#daemons);
        await this.containerd.removeContainers();
        await this.#daemons.stop('containerd');
      }
      await this.#daemons.killAll();
      if (canRunRealNode() && (await this.#exists('sysctls.json'))) {
        await unmountBelow(this.directory);
        await removeNetwork();
        await removeKubernetesRules(NETWORK_NAME);
        await removeCgroup(this.#cgroup);
        await removeKubeletFiles(this.directory);
        await this.containerd.removeRuntimeFiles();
        await restoreSysctls(join(this.directory, 'sysctls.json'));
      }
      await rm(this.directory, { recursive: true, force: true });
      progress('the cluster is gone');
    });
  }

  /**
   * Gives the node an image that pods name, unless it has it.
   * @param archive a docker-archive or OCI archive
   */
  async loadImage(image: string, archive: string): Promise<void> {
    if (!(await this.containerd.hasImage(image))) await this.containerd.importImage(archive);
  }

  /** The daemons that run, with their process ids. */
  async running(): Promise<ReadonlyMap<string, number>> {
    const processes = await this.#daemons.processes();
    return new Map(
      processes.filter(({ commandLine }) => !commandLine[0]?.includes('shim')).map((p) => [p.daemon, p.pid]),
    );
  }

  /** Whether `up` has come to its end and the API server answers. */
  async isUp(): Promise<boolean> {
    if (!(await this.#exists('kubeconfig'))) return false;
    return this.#api(CoreV1Api)
      .listNamespace({ limit: 1 })
      .then(
        () => true,
        () => false,
      );
  }

  /** One cgroup a cluster, so that two kubelets never tidy up each other's pods. */
  get #cgroup(): string {
    return `/fairlead-${createHash('sha256').update(this.directory).digest('hex').slice(0, 8)}`;
  }

  async #alone(progress: Progress, work: () => Promise<void>): Promise<void> {
    await withLock(`${this.directory}.lock`, () => progress('another command works on the cluster; waiting'), work);
  }

  async #prepareMachine(progress: Progress): Promise<void> {
    await ensureHostPrograms(progress);
    if (!(await this.#exists('sysctls.json'))) {
      const rules = await command('iptables-save', []);
      if (/^:KUBE-SERVICES /m.test(rules)) {
        throw new Error(
          'this machine runs a Kubernetes node already (iptables chain KUBE-SERVICES); a second would break its network',
        );
      }
    }
    await mkdir(this.directory, { recursive: true });
    await rememberSysctls(join(this.directory, 'sysctls.json'));
    await createBridge();
    await enableForwarding();
  }

  async #startControlPlane(pki: Pki, programs: KubernetesPrograms, address: string, progress: Progress): Promise<void> {
    progress('starting the control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler');
    const daemons = controlPlaneDaemons(this.directory, pki, programs, address);
    await this.#daemons.ensure(daemons.etcd);
    await this.#daemons.ensure(daemons.apiServer);
    const url = `https://${address}:${API_SERVER_PORT}`;
    await this.#daemons.ready(
      'kube-apiserver',
      () => waitForApiServer(pki, url, 1_000).then(() => true as const),
      STEP_TIMEOUT_MS,
    );
    await this.#daemons.ensure(daemons.controllerManager);
    await this.#daemons.ensure(daemons.scheduler);
  }

  async #startNode(pki: Pki, programs: KubernetesPrograms, pauseArchive: string, progress: Progress): Promise<void> {
    progress(
      `starting the node ${NODE_NAME}: containerd, kubelet, kube-proxy, and a device plugin for ${FAKE_GPU_RESOURCE}`,
    );
    const containerd = await this.containerd.configure();
    await writeCniConfiguration(this.containerd.cniDirectory, join(this.directory, 'cni-addresses'));
    await this.#daemons.ensure(containerd);
    await this.containerd.waitUntilReady(this.#daemons);
    await this.containerd.importImage(pauseArchive);
    await createCgroup(this.#cgroup);
    const kubelet = await configureKubelet({
      stateDirectory: this.directory,
      pki,
      programs,
      containerdSocket: this.containerd.socket,
      cgroup: this.#cgroup,
    });
    await this.#daemons.ensure(kubelet);
    await this.#daemons.ensure(kubeProxy({ pki, programs }));
    await this.#daemons.ensure({
      name: 'device-plugin',
      program: process.execPath,
      args: [join(repositoryRoot, 'e2e/cluster/device-plugin.ts'), FAKE_GPU_RESOURCE, String(FAKE_GPU_COUNT)],
    });
    const core = this.#api(CoreV1Api);
    await this.#daemons.ready(
      'kubelet',
      async () => {
        const { status } = await core.readNode({ name: NODE_NAME });
        const ready = status?.conditions?.find(({ type }) => type === 'Ready');
        if (ready?.status !== 'True') return `node ${NODE_NAME}: ${ready?.message ?? 'no condition Ready yet'}`;
        const gpus = status?.allocatable?.[FAKE_GPU_RESOURCE];
        return gpus === String(FAKE_GPU_COUNT) || `node ${NODE_NAME} offers ${gpus ?? 'no'} ${FAKE_GPU_RESOURCE}`;
      },
      STEP_TIMEOUT_MS,
    );
    await waitFor(
      'service account default',
      async () =>
        (await core.readNamespacedServiceAccount({ name: 'default', namespace: 'default' })) !== undefined || '',
      { timeoutMs: STEP_TIMEOUT_MS },
    );
  }

  async #startAddons(pki: Pki, programs: KubernetesPrograms, progress: Progress): Promise<void> {
    progress('starting DNS and metrics: CoreDNS, metrics-server');
    await this.#daemons.ensure(await configureDns(this.directory, pki, programs));
    await this.#daemons.ensure(metricsServer(this.directory, pki, programs));
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: metricsApi });
    const kubeconfig = ['--kubeconfig', pki.file('admin.kubeconfig')];
    await command(programs('kubectl'), [...kubeconfig, 'apply', '--server-side', '-f', '-'], { input: list });
    // An API that is announced but does not answer would hold up the deletion of every namespace.
    const registration = this.#api(ApiregistrationV1Api);
    await this.#daemons.ready(
      'metrics-server',
      async () => {
        const { status } = await registration.readAPIService({ name: 'v1beta1.metrics.k8s.io' });
        const available = status?.conditions?.find(({ type }) => type === 'Available');
        return available?.status === 'True' || `API metrics.k8s.io: ${available?.message ?? 'not seen yet'}`;
      },
      STEP_TIMEOUT_MS,
    );
  }

  #api<T extends Parameters<KubeConfig['makeApiClient']>[0]>(api: T): InstanceType<T> {
    const config = new KubeConfig();
    config.loadFromFile(join(this.directory, 'pki', 'admin.kubeconfig'));
    return config.makeApiClient(api) as InstanceType<T>;
  }

  #exists(name: string): Promise<boolean> {
    return access(join(this.directory, name)).then(
      () => true,
      () => false,
    );
  }
}
