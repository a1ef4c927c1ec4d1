import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../cluster/child.ts';
import { freePorts } from '../cluster/free-port.ts';
import { ensureGoPrograms } from '../cluster/go-programs.ts';
import { reportToTerminal } from '../cluster/progress.ts';
import { waitFor } from '../cluster/wait.ts';
import { type GoModule, goModuleDirectory } from './go-module.ts';

/** The last release whose module can be built as it is: later ones replace a part of theirs by a folder beside it. */
const MODULE: GoModule = {
  path: 'github.com/traefik/traefik/v3',
  version: 'v3.6.12',
  sum: 'h1:6pe4s7aaDTQs+AsF7KP3sM/xnq7zOVvibRQe5tw9eFo=',
};

/** A real implementation of the Gateway API on this host, for the Gateways of GatewayClass `traefik`. */
export interface GatewayProxy {
  /** A listener of a Gateway is served where its port is this one: on 127.0.0.1. */
  readonly ports: { readonly http: number; readonly grpc: number };
  stop(): Promise<void>;
}

export const GATEWAY_CLASS = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'GatewayClass',
  metadata: { name: 'traefik' },
  spec: { controllerName: 'traefik.io/gateway-controller' },
};

const READY_TIMEOUT_MS = 60_000;

/**
 * Traefik, as a process on this host that follows the cluster; it never outlives this process.
 * @throws Error with the end of its log when it does not listen in time.
 */
export async function startTraefik(kubeconfigPath: string): Promise<GatewayProxy> {
  const program = join(await traefikPrograms(), 'traefik');
  const [http = 0, grpc = 0, ping = 0] = await freePorts(3);
  const directory = await mkdtemp(join(tmpdir(), 'fairlead-traefik-'));
  const flags = [
    `--entrypoints.web.address=127.0.0.1:${http}`,
    `--entrypoints.grpc.address=127.0.0.1:${grpc}`,
    `--entrypoints.ping.address=127.0.0.1:${ping}`,
    '--ping.entrypoint=ping',
    '--providers.kubernetesgateway=true',
    '--providers.kubernetesgateway.statusaddress.ip=127.0.0.1',
    '--global.checknewversion=false',
    '--global.sendanonymoususage=false',
    '--log.level=INFO',
  ];
  const environment = [`KUBECONFIG=${kubeconfigPath}`, program];
  const child = Child.start('traefik', 'env', [...environment, ...flags], join(directory, 'log'));
  const stop = async () => {
    await child.stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const answers = waitFor(
      'traefik',
      () =>
        fetch(`http://127.0.0.1:${ping}/ping`).then(({ ok, status }) => (ok ? (true as const) : `answers ${status}`)),
      { timeoutMs: READY_TIMEOUT_MS, intervalMs: 100 },
    );
    await Promise.race([answers, child.failure()]);
  } catch (error) {
    await stop();
    throw error;
  }
  return { ports: { http, grpc }, stop };
}

/** Traefik is built as its own main module, with the versions and the forks that it names. */
async function traefikPrograms(): Promise<string> {
  return ensureGoPrograms(
    {
      title: 'Traefik, a gateway for tests',
      moduleDirectory: await goModuleDirectory(MODULE),
      sources: ['go.mod', 'go.sum'],
      packages: ['./cmd/traefik'],
      ldflags: '-s -w',
      firstBuild: 'about 15 minutes',
    },
    reportToTerminal,
  );
}
