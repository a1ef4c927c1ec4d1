import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { API_GROUP, FIELD_MANAGER } from './api/names.ts';
import { httpCounts } from './controllers/modeldeployment/counts/reader.ts';
import { controllers } from './controllers/registry.ts';
import type { RegistrySettings } from './controllers/registry-asker/desired.ts';
import type { RouterSettings } from './controllers/router/desired.ts';
import { prometheusClient } from './integrations/prometheus.ts';
import { environment } from './options.ts';
import { ApiClient } from './runtime/api-client.ts';
import { systemClock } from './runtime/clock.ts';
import { loadKubeConfig } from './runtime/kube-config.ts';
import { KubeTransport } from './runtime/kube-transport.ts';
import { LeadershipLostError, Manager } from './runtime/manager.ts';
import { describeError } from './runtime/outcome.ts';
import { createLogger, type Logger, type LogLevel } from './telemetry/logger.ts';
import { OperatorMetrics } from './telemetry/operator-metrics.ts';

/** Everything the operator is told from outside, checked and frozen before it starts. */
export interface OperatorOptions {
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[];
  /** The Lease, which operators that watch different namespaces do not share. Absent: this process leads alone. */
  readonly leaderElection: { readonly namespace: string; readonly name: string } | undefined;
  readonly healthPort: number;
  readonly metricsPort: number;
  readonly serverImage: string;
  readonly serverImageCuda: string;
  readonly routers: RouterSettings;
  readonly registries: RegistrySettings;
  readonly logLevel: LogLevel;
  readonly workers: number;
  readonly resyncPeriodMs: number;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
}

interface Flags {
  readonly namespaces: string[];
  readonly leaderElect: boolean;
  readonly leaderElectionNamespace?: string;
  readonly leaderElectionName: string;
  readonly healthPort: number;
  readonly metricsPort: number;
  readonly serverImage: string;
  readonly serverImageCuda?: string;
  readonly routerImage?: string;
  readonly routerRole: RouterSettings['role'];
  readonly registryRole: RegistrySettings['role'];
  readonly routerMinReplicas: number;
  readonly routerMaxReplicas: number;
  readonly routerCpu: string;
  readonly routerMemory: string;
  readonly logLevel: LogLevel;
  readonly workers: number;
  readonly resyncMinutes: number;
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** On every object that the operator applies: the hash of what it applied. */
const APPLIED_ANNOTATION = `${API_GROUP}/applied`;
const SHUTDOWN_GRACE_MS = 8_000;
/** A stop that takes longer than this is cut short; the kubelet's own patience is 30 s. */
const SHUTDOWN_LIMIT_MS = 20_000;

/** @throws Error when flags contradict each other or leave something open. */
export function compileOptions(flags: Flags, podNamespace: string | undefined): OperatorOptions {
  const leaderElection = flags.leaderElect ? electionLease(flags, podNamespace) : undefined;
  if (flags.healthPort === flags.metricsPort && flags.healthPort !== 0) {
    throw new Error(`--health-port and --metrics-port are both ${flags.healthPort}`);
  }
  if (flags.routerMinReplicas > flags.routerMaxReplicas) {
    throw new Error(
      `--router-min-replicas (${flags.routerMinReplicas}) is above --router-max-replicas (${flags.routerMaxReplicas})`,
    );
  }
  return Object.freeze({
    namespaces: Object.freeze([...new Set(flags.namespaces)].sort()),
    leaderElection,
    healthPort: flags.healthPort,
    metricsPort: flags.metricsPort,
    serverImage: flags.serverImage,
    serverImageCuda: flags.serverImageCuda ?? `${flags.serverImage}-cuda`,
    registries: Object.freeze({ image: flags.serverImage, role: flags.registryRole }),
    routers: Object.freeze({
      image: flags.routerImage ?? flags.serverImage,
      role: flags.routerRole,
      minReplicas: flags.routerMinReplicas,
      maxReplicas: flags.routerMaxReplicas,
      cpu: flags.routerCpu,
      memory: flags.routerMemory,
    }),
    logLevel: flags.logLevel,
    workers: flags.workers,
    resyncPeriodMs: flags.resyncMinutes * 60_000,
    kubeconfig: flags.kubeconfig,
    context: flags.context,
  });
}

/**
 * Runs the operator until `stop` aborts.
 * @throws LeadershipLostError, or Error when the cluster cannot be named or a port is taken.
 */
export async function runOperator(options: OperatorOptions, logger: Logger, stop: AbortSignal): Promise<void> {
  const metrics = new OperatorMetrics();
  const config = loadKubeConfig(options);
  const connect = (): KubeTransport =>
    new KubeTransport(config, {
      clock: systemClock,
      onCall: ({ method, status, host }) => metrics.requested(method, status, host),
    });
  const transport = connect();
  const electionTransport = connect();
  const counts = httpCounts();
  const prometheus = prometheusClient();
  const manager = new Manager({
    client: new ApiClient(transport, FIELD_MANAGER),
    clock: systemClock,
    random: Math.random,
    logger,
    metrics,
    controllers: controllers({
      ...options,
      clock: systemClock,
      fetchCounts: counts.fetch,
      runQuery: prometheus.query,
    }),
    namespaces: options.namespaces,
    identity: `${environment.podName ?? 'fairlead-operator'}_${randomUUID().slice(0, 8)}`,
    reportingController: `${API_GROUP}/operator`,
    hashAnnotation: APPLIED_ANNOTATION,
    ...(options.leaderElection && {
      leaderElection: { ...options.leaderElection, client: new ApiClient(electionTransport, FIELD_MANAGER) },
    }),
    resyncPeriodMs: options.resyncPeriodMs,
    shutdownGraceMs: SHUTDOWN_GRACE_MS,
    healthPort: options.healthPort,
    metricsPort: options.metricsPort,
  });
  try {
    await manager.run(stop);
  } finally {
    await Promise.all([transport.close(), electionTransport.close(), counts.close(), prometheus.close()]);
  }
}

export const command = new Command('operator')
  .description('Turns ModelDeployments into running, scaled, truthfully reported model servers')
  .option('--namespaces <names>', 'watch only these namespaces (comma-separated); all when left out', toNames, [])
  .option('--leader-elect', 'let one of several replicas work at a time', true)
  .option('--no-leader-elect', 'work without asking for the lease: only ever one process')
  .option('--leader-election-namespace <name>', 'where the lease lives; the pod’s own namespace when left out')
  .option('--leader-election-name <name>', 'the lease; each release has its own', toObjectName, 'fairlead-operator')
  .option('--health-port <port>', 'serves /healthz and /readyz', toPort, 8081)
  .option('--metrics-port <port>', 'serves /metrics', toPort, 8080)
  .requiredOption('--server-image <image>', 'the image of model servers on CPU')
  .option('--server-image-cuda <image>', 'the image of model servers on GPU (default: the server image with -cuda)')
  .option('--router-image <image>', 'the image of routers (default: the server image)')
  .option(
    '--router-role <kind/name>',
    'what routers are bound to in their namespace: ClusterRole/NAME or Role/NAME',
    toRole,
    toRole('ClusterRole/fairlead-router'),
  )
  .option(
    '--registry-role <kind/name>',
    'what those that ask outside registries are bound to in their namespace: ClusterRole/NAME or Role/NAME',
    toRole,
    toRole('ClusterRole/fairlead-registry'),
  )
  .option('--router-min-replicas <count>', 'routers of a namespace, at least', toCount, 2)
  .option('--router-max-replicas <count>', 'routers of a namespace, at most', toCount, 10)
  .option('--router-cpu <quantity>', 'CPU that one router asks for', toQuantity, '250m')
  .option('--router-memory <quantity>', 'memory that one router asks for, and its limit', toQuantity, '256Mi')
  .addOption(
    new Option('--log-level <level>', 'least severe level that is logged')
      .choices(['error', 'warn', 'info', 'debug'])
      .default('info'),
  )
  .option('--workers <count>', 'objects of one kind that are reconciled at once', toCount, 8)
  .option('--resync-minutes <minutes>', 'how often every object is looked at again without cause', toCount, 600)
  .option('--kubeconfig <file>', 'the cluster to work on, when this is not one of its pods')
  .option('--context <name>', 'a context of the kubeconfig')
  .action(async (flags: Flags, self: Command) => {
    let options: OperatorOptions;
    try {
      options = compileOptions(flags, environment.podNamespace);
    } catch (error) {
      return self.error(`error: ${describeError(error)}`);
    }
    const logger = createLogger(options.logLevel);
    try {
      await runOperator(options, logger, stopOnSignals(logger));
      process.exit(0);
    } catch (error) {
      logger.error(describeError(error), error instanceof LeadershipLostError ? {} : { error });
      // What is half done belongs to the next leader: nothing may linger.
      logger.on('finish', () => process.exit(1));
      logger.end();
    }
  });

/** Aborts at SIGTERM or SIGINT; a second one, or a stop that hangs, ends the process at once. */
function stopOnSignals(logger: Logger): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(1);
      logger.info(`stopping on ${signal}`);
      stop.abort();
      void delay(SHUTDOWN_LIMIT_MS, undefined, { ref: false }).then(() => process.exit(1));
    });
  }
  return stop.signal;
}

function electionLease(flags: Flags, podNamespace: string | undefined): OperatorOptions['leaderElection'] {
  const namespace = flags.leaderElectionNamespace ?? podNamespace;
  if (namespace === undefined) {
    throw new Error('leader election needs a namespace: give --leader-election-namespace, or --no-leader-elect');
  }
  return Object.freeze({ namespace, name: flags.leaderElectionName });
}

function toObjectName(text: string): string {
  if (text.length > 253 || !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text)) {
    throw new InvalidArgumentError(`${text} is not a name of an object.`);
  }
  return text;
}

function toRole(text: string): RouterSettings['role'] {
  const [kind, name = '', ...rest] = text.split('/');
  if ((kind !== 'ClusterRole' && kind !== 'Role') || rest.length > 0) {
    throw new InvalidArgumentError(`${text} is neither ClusterRole/NAME nor Role/NAME.`);
  }
  return Object.freeze({ kind, name: toObjectName(name) });
}

function toQuantity(text: string): string {
  if (!/^[0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?$/.test(text)) {
    throw new InvalidArgumentError(`${text} is not a quantity such as 250m or 256Mi.`);
  }
  return text;
}

function toNames(text: string): string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const bad = names.find((name) => !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name));
  if (bad !== undefined) throw new InvalidArgumentError(`${bad} is not a namespace name.`);
  return names;
}

function toPort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new InvalidArgumentError('It must be a port from 0 to 65535.');
  return port;
}

function toCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return count;
}
