import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apiServerArguments, apiServerNames, etcdArguments, waitForApiServer } from './api-server.ts';
import { Child } from './child.ts';
import { freePorts } from './free-port.ts';
import { ensureKubernetes, type KubernetesPrograms } from './kubernetes.ts';
import { Pki } from './pki.ts';
import { type Progress, reportToTerminal } from './progress.ts';
import { waitFor } from './wait.ts';

/**
 * A kube-apiserver with its etcd and nothing else, for tests of the runtime, the CRDs and the controllers: ready in a
 * few seconds, on ports and in a directory of its own, gone with the process that started it. No controller manager
 * runs: there is no garbage collection, and a pod needs no service account.
 */
export interface ControlPlane {
  /** Of a user in `system:masters`. */
  readonly kubeconfigPath: string;
  readonly url: string;
  readonly programs: KubernetesPrograms;
  /** Ends both and deletes everything. */
  stop(): Promise<void>;
  /** SIGKILL; the API server stays down until `startApiServer`. */
  killApiServer(): Promise<void>;
  /** On the same port with the same etcd; resolves when ready. */
  startApiServer(): Promise<void>;
  /** An orderly end and a new start. */
  restartApiServer(): Promise<void>;
  /** SIGKILL; the API server stays up and fails its requests until `startEtcd`. */
  killEtcd(): Promise<void>;
  startEtcd(): Promise<void>;
  /**
   * Drops all history up to now, as a long-lived cluster does every five minutes: a watch that resumes from an older
   * version, and a list that continues one, get 410.
   * @returns the revision that was compacted.
   */
  compactEtcd(): Promise<number>;
}

export interface ControlPlaneOptions {
  readonly progress?: Progress;
  /** Further flags for kube-apiserver. */
  readonly apiServerFlags?: readonly string[];
}

export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const programs = await ensureKubernetes(options.progress ?? reportToTerminal);
  const directory = await mkdtemp(join(tmpdir(), 'fairlead-control-plane-'));
  const [etcdClientPort = 0, etcdPeerPort = 0, port = 0] = await freePorts(3);
  const url = `https://127.0.0.1:${port}`;
  const etcdUrl = `http://127.0.0.1:${etcdClientPort}`;
  const pki = new Pki(directory);
  const log = (name: string) => join(directory, `${name}.log`);

  const spawnEtcd = () =>
    Child.start(
      'etcd',
      programs('etcd'),
      etcdArguments({ dataDirectory: join(directory, 'etcd'), clientPort: etcdClientPort, peerPort: etcdPeerPort }),
      log('etcd'),
    );
  const spawnApiServer = () =>
    Child.start(
      'kube-apiserver',
      programs('kube-apiserver'),
      [
        ...apiServerArguments({ pki, etcdClientPort, port, advertiseAddress: '127.0.0.1', bindAddress: '127.0.0.1' }),
        `--cert-dir=${directory}`,
        // Nobody makes service accounts here, and a pod must not wait for one.
        '--disable-admission-plugins=ServiceAccount',
        ...(options.apiServerFlags ?? []),
      ],
      log('kube-apiserver'),
    );

  let etcd = spawnEtcd();
  const etcdReady = () =>
    waitFor('etcd', async () => (await fetch(`${etcdUrl}/health`)).ok || 'unhealthy', { timeoutMs: 30_000 });
  await pki.createAuthority();
  await Promise.all([
    pki.issue('apiserver', { commonName: 'kube-apiserver', alternativeNames: apiServerNames([]) }),
    pki.issue('admin', { commonName: 'admin', organization: 'system:masters' }),
    pki.createServiceAccountKeys(),
  ]);
  const kubeconfigPath = await pki.writeKubeconfig('admin', url);
  let apiServer = spawnApiServer();
  const apiServerReady = () => Promise.race([waitForApiServer(pki, url), apiServer.failure()]);

  const stop = async () => {
    await apiServer.stop('SIGKILL');
    await etcd.stop('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await Promise.race([etcdReady(), etcd.failure()]);
    await apiServerReady();
  } catch (error) {
    await stop();
    throw error;
  }

  const startApiServer = async () => {
    if (apiServer.running) return;
    apiServer = spawnApiServer();
    await apiServerReady();
  };
  return {
    kubeconfigPath,
    url,
    programs,
    stop,
    killApiServer: () => apiServer.stop('SIGKILL'),
    startApiServer,
    restartApiServer: async () => {
      await apiServer.stop('SIGTERM', 2_000);
      await startApiServer();
    },
    killEtcd: () => etcd.stop('SIGKILL'),
    startEtcd: async () => {
      if (etcd.running) return;
      etcd = spawnEtcd();
      await Promise.race([etcdReady(), etcd.failure()]);
    },
    compactEtcd: () => compactEtcd(etcdUrl),
  };
}

/** Through etcd's HTTP gateway, where 64-bit numbers are strings. */
async function compactEtcd(etcdUrl: string): Promise<number> {
  const post = async (path: string, body: object): Promise<unknown> => {
    const response = await fetch(`${etcdUrl}${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`etcd answers ${response.status} to ${path}: ${await response.text()}`);
    return response.json();
  };
  const status = (await post('/v3/maintenance/status', {})) as { header: { revision: string } };
  await post('/v3/kv/compaction', { revision: status.header.revision, physical: true });
  return Number(status.header.revision);
}
