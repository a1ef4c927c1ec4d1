import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { SERVICE_CIDR } from './address-plan.ts';
import type { Pki } from './pki.ts';
import { waitFor } from './wait.ts';

export interface EtcdOptions {
  readonly dataDirectory: string;
  readonly clientPort: number;
  readonly peerPort: number;
}

export function etcdArguments({ dataDirectory, clientPort, peerPort }: EtcdOptions): string[] {
  const clientUrl = `http://127.0.0.1:${clientPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  return [
    `--data-dir=${dataDirectory}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    // A test cluster's data need not survive a power cut.
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

export interface ApiServerOptions {
  readonly pki: Pki;
  readonly etcdClientPort: number;
  readonly port: number;
  /** The address others reach this server at. */
  readonly advertiseAddress: string;
  readonly bindAddress: string;
}

/** Flags of an API server whose certificate is `apiserver` of the given PKI. */
export function apiServerArguments(options: ApiServerOptions): string[] {
  const { pki } = options;
  return [
    `--etcd-servers=http://127.0.0.1:${options.etcdClientPort}`,
    `--secure-port=${options.port}`,
    `--bind-address=${options.bindAddress}`,
    `--advertise-address=${options.advertiseAddress}`,
    '--endpoint-reconciler-type=lease',
    `--tls-cert-file=${pki.file('apiserver.crt')}`,
    `--tls-private-key-file=${pki.file('apiserver.key')}`,
    `--client-ca-file=${pki.authorityFile}`,
    `--service-account-key-file=${pki.file('service-account.pub')}`,
    `--service-account-signing-key-file=${pki.file('service-account.key')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-cluster-ip-range=${SERVICE_CIDR}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
  ];
}

/** Names an API server's certificate is valid for, wherever it is reached from. */
export const apiServerNames = (addresses: readonly string[]): string[] => [
  ...['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].map((name) => `DNS:${name}`),
  ...['127.0.0.1', '10.96.0.1', ...addresses].map((address) => `IP:${address}`),
];

const READY_TIMEOUT_MS = 60_000;

/** Waits until the API server is ready and has made the namespace `default`, which it does a little later. */
export async function waitForApiServer(pki: Pki, url: string, timeoutMs = READY_TIMEOUT_MS): Promise<void> {
  const tls = {
    ca: await readFile(pki.authorityFile),
    cert: await readFile(pki.file('admin.crt')),
    key: await readFile(pki.file('admin.key')),
  };
  const status = (path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      request(`${url}${path}`, { ...tls, agent: false, timeout: 5_000 }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('timeout', function (this: { destroy(error: Error): void }) {
          this.destroy(new Error('no answer within 5 s'));
        })
        .on('error', reject)
        .end();
    });
  await waitFor(
    `kube-apiserver at ${url}`,
    async () => {
      for (const path of ['/readyz', '/api/v1/namespaces/default']) {
        const answer = await status(path);
        if (answer !== 200) return `${path} answers ${answer}`;
      }
      return true;
    },
    { timeoutMs },
  );
}
