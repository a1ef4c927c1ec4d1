import { randomUUID } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';
import { FIELD_MANAGER, PORTS } from './api/names.ts';
import { durationMs } from './api/v1alpha1/duration.ts';
import { environment } from './options.ts';
import { RouterProcess } from './router/router-process.ts';
import { ApiClient } from './runtime/api-client.ts';
import { systemClock } from './runtime/clock.ts';
import type { Transport } from './runtime/kube-transport.ts';
import { describeError } from './runtime/outcome.ts';
import { mountedAccess, PodTransport } from './runtime/pod-transport.ts';
import { anyAddress } from './serving/any-address.ts';
import { KeptState } from './serving/router/kept-state.ts';
import { createLogger, type Logger, type LogLevel } from './telemetry/logger.ts';

interface Flags {
  readonly namespace?: string;
  readonly podName?: string;
  readonly podUid?: string;
  readonly host?: string;
  readonly metricsPort: number;
  readonly stateDir?: string;
  readonly drainDelay: number;
  readonly grace: number;
  readonly logLevel: LogLevel;
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** Everything the router is told from outside, checked and frozen before it starts. */
export interface RouterOptions {
  readonly namespace: string;
  readonly podName: string;
  readonly podUid: string | undefined;
  readonly host: string;
  readonly metricsPort: number;
  readonly stateDir: string | undefined;
  readonly drainDelayMs: number;
  readonly graceMs: number;
}

/** What a router needs after its drain delay to have its connections closed and its last counts left. */
const MIN_CLOSING_MS = 4_000;

/** @throws Error when flags contradict each other or leave something open. */
export function compileOptions(
  flags: Flags,
  pod: Pick<typeof environment, 'podName' | 'podNamespace' | 'podUid'>,
): RouterOptions {
  const namespace = flags.namespace ?? pod.podNamespace;
  const podName = flags.podName ?? pod.podName;
  if (namespace === undefined) throw new Error('no namespace: give --namespace, or POD_NAMESPACE in a pod');
  if (podName === undefined) throw new Error('no name to report under: give --pod-name, or POD_NAME in a pod');
  if (flags.grace < flags.drainDelay + MIN_CLOSING_MS) {
    throw new Error(
      `--grace (${flags.grace} ms) must be at least ${MIN_CLOSING_MS} ms more than --drain-delay (${flags.drainDelay} ms), or requests are lost`,
    );
  }
  return Object.freeze({
    namespace,
    podName,
    podUid: flags.podUid ?? pod.podUid,
    host: flags.host ?? anyAddress(),
    metricsPort: flags.metricsPort,
    stateDir: flags.stateDir,
    drainDelayMs: flags.drainDelay,
    graceMs: flags.grace,
  });
}

/** `fairlead router`: the routers of a namespace. */
export const command = new Command('router')
  .description('Split the requests of a namespace’s models over their revisions')
  .option('--namespace <name>', 'the namespace whose routes and pods it serves; the pod’s own when left out')
  .option('--pod-name <name>', 'the Lease it reports by; the pod’s own name when left out')
  .option('--pod-uid <uid>', 'the pod that the Lease is deleted with; the pod’s own when left out')
  .option('--host <address>', 'address to listen on for routes (default: all)')
  .option(
    '--metrics-port <port>',
    'serves /metrics, /counts and probes; 0 takes a free one',
    toPort,
    PORTS.metrics.container,
  )
  .option('--state-dir <path>', 'keeps routes and pods there, to start again while the API server is away')
  .option('--drain-delay <duration>', 'how long to serve on after SIGTERM while endpoints follow', toMs, 5_000)
  .option('--grace <duration>', 'how long after SIGTERM to end at the latest', toMs, 30_000)
  .addOption(
    new Option('--log-level <level>', 'least severe level that is logged')
      .choices(['error', 'warn', 'info', 'debug'])
      .default('info'),
  )
  .option('--kubeconfig <file>', 'the cluster to work on, when this is not one of its pods')
  .option('--context <name>', 'a context of the kubeconfig')
  .action(async (flags: Flags, self: Command) => {
    let options: RouterOptions;
    try {
      options = compileOptions(flags, environment);
    } catch (error) {
      return self.error(`error: ${describeError(error)}`);
    }
    const logger = createLogger(flags.logLevel, { role: 'router' });
    process.exitCode = await run(flags, options, logger).catch((error: unknown) => {
      logger.error(describeError(error), { error });
      return 1;
    });
    // Connections that were cut off may leave handles behind; what counts has been answered and written.
    logger.end(() => process.exit());
  });

/** Serves until SIGTERM or SIGINT; the result is the exit code. */
async function run(flags: Flags, options: RouterOptions, logger: Logger): Promise<number> {
  const stop = Promise.withResolvers<void>();
  const hurry = new AbortController();
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isStopping) hurry.abort(new Error(`a second signal, ${signal}`));
    isStopping = true;
    stop.resolve();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  const transport = await connect(flags);
  const router = new RouterProcess({
    ...options,
    client: new ApiClient(transport, FIELD_MANAGER),
    clock: systemClock,
    random: Math.random,
    logger,
    instance: randomUUID(),
    kept: options.stateDir === undefined ? undefined : new KeptState(options.stateDir),
  });
  const started = router.start();
  // Also before it is ready, which without the API server it may never be.
  await Promise.race([stop.promise, started.then(() => stop.promise)]);
  const limit = setTimeout(() => hurry.abort(new Error(`${options.graceMs} ms have passed`)), options.graceMs);
  const isComplete = await router.stop(hurry.signal);
  clearTimeout(limit);
  await transport.close();
  if (isComplete) logger.info('stopped: every request was answered');
  else logger.error('stopped before every request was answered', { reason: String(hurry.signal.reason) });
  return isComplete ? 0 : 1;
}

/** In a pod by its ServiceAccount; else by a kubeconfig, whose reading is imported only then: it needs much memory. */
async function connect({ kubeconfig, context }: Flags): Promise<Transport> {
  const { apiServer } = environment;
  if (kubeconfig === undefined && context === undefined && apiServer !== undefined) {
    return new PodTransport(mountedAccess(apiServer.host, apiServer.port), systemClock);
  }
  const [{ loadKubeConfig }, { KubeTransport }] = await Promise.all([
    import('./runtime/kube-config.ts'),
    import('./runtime/kube-transport.ts'),
  ]);
  return new KubeTransport(loadKubeConfig({ kubeconfig, context }), { clock: systemClock });
}

function toPort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InvalidArgumentError('It must be a port from 0 to 65535.');
  }
  return port;
}

function toMs(text: string): number {
  if (text === '0') return 0;
  try {
    return durationMs(text);
  } catch (error) {
    throw new InvalidArgumentError(describeError(error));
  }
}
