import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../cluster/child.ts';
import { command } from '../cluster/command.ts';
import { freePorts } from '../cluster/free-port.ts';
import { ensureGoPrograms } from '../cluster/go-programs.ts';
import { cacheRoot } from '../cluster/paths.ts';
import { reportToTerminal } from '../cluster/progress.ts';
import { waitFor } from '../cluster/wait.ts';
import { type GoModule, goModuleDirectory } from './go-module.ts';

/** The last release whose module is whole: later ones have a part of theirs replaced by a folder that is not in it. */
const TRAEFIK: GoModule = {
  path: 'github.com/traefik/traefik/v3',
  version: 'v3.6.12',
  sum: 'h1:6pe4s7aaDTQs+AsF7KP3sM/xnq7zOVvibRQe5tw9eFo=',
};

/** As that release names it. */
const LEGO: GoModule = {
  path: 'github.com/go-acme/lego/v4',
  version: 'v4.33.0',
  sum: 'h1:2KrRKieG+VczT4zvVXKAY7Tp/S3XLvh/QImofBALRAM=',
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
  const moduleDirectory = await goModuleDirectory(TRAEFIK);
  return ensureGoPrograms(
    {
      title: 'Traefik, a gateway for tests',
      moduleDirectory,
      modfile: await modfileWithoutDnsServices(moduleDirectory),
      sources: ['go.mod', 'go.sum'],
      packages: ['./cmd/traefik'],
      ldflags: '-s -w',
      firstBuild: 'about 15 minutes',
    },
    reportToTerminal,
  );
}

/** What Traefik asks of `lego/providers/dns`. */
const NO_DNS_SERVICES = `package dns

import (
	"fmt"

	"github.com/go-acme/lego/v4/challenge"
)

func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("no DNS service is built in: %s", name)
}
`;

/**
 * A go.mod that leaves out the clients of 150 DNS services by which certificates could be had: with what they need they
 * are two fifths of all packages that would have to be compiled.
 */
async function modfileWithoutDnsServices(moduleDirectory: string): Promise<string> {
  const directory = join(cacheRoot, `traefik-${TRAEFIK.version}`);
  const modfile = join(directory, 'go.mod');
  if (existsSync(modfile)) return modfile;
  await mkdir(cacheRoot, { recursive: true });
  const partial = await mkdtemp(`${directory}-`);
  // With write permission, which the files of a module do not have.
  await command('cp', ['-r', '--no-preserve=mode', await goModuleDirectory(LEGO), join(partial, 'lego')]);
  const services = join(partial, 'lego/providers/dns');
  await rm(services, { recursive: true });
  await mkdir(services);
  await writeFile(join(services, 'none.go'), NO_DNS_SERVICES);
  await copyFile(join(moduleDirectory, 'go.sum'), join(partial, 'go.sum'));
  const own = await readFile(join(moduleDirectory, 'go.mod'), 'utf8');
  await writeFile(join(partial, 'go.mod'), `${own}\nreplace ${LEGO.path} => ${join(directory, 'lego')}\n`);
  // Whole or not at all; where it is there already it is the same.
  await rename(partial, directory).catch(() => rm(partial, { recursive: true }));
  return modfile;
}
