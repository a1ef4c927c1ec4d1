import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { MODEL_ROOT, PORTS, PVC_ROOT } from '../api/names.ts';
import { environment } from '../options.ts';
import { createLogger, type Logger, type LogLevel } from '../telemetry/logger.ts';
import { ServingMetrics } from '../telemetry/serving-metrics.ts';
import { aborted } from './aborted.ts';
import { loadModel } from './models/load-model.ts';
import { PredictionLog } from './prediction-log.ts';
import { InferenceServer } from './server.ts';
import { compileOptions, type ServerFlags, type ServerOptions } from './server-options.ts';
import { terminationMessage } from './termination-message.ts';
import { textSink } from './text-sink.ts';
import { VERSION } from './version.ts';

/** In a pod the image's own directory; alone a directory that any user may write. */
const modelDirectory = environment.servingConfig === undefined ? join(tmpdir(), 'fairlead-models') : MODEL_ROOT;

/** `fairlead server`: serves models until it is told to stop. */
export const command = new Command('server')
  .description('Serve ONNX models by the Open Inference Protocol (REST and gRPC) and as plain JSON rows')
  .option(
    '--model <name=uri>',
    'a model to serve: NAME=URI or NAME@VERSION=URI, with file://, pvc://, http(s)://, s3:// or oci:// (repeatable)',
    (text: string, all: readonly string[]) => [...all, text],
    [],
  )
  .option('--config <file>', 'a JSON file with the models and their settings, in place of --model')
  .option('--host <address>', 'address to listen on (default: all)')
  .option('--http-port <port>', 'REST; 0 takes a free one', String(PORTS.http.container))
  .option('--grpc-port <port>', 'gRPC; 0 takes a free one', String(PORTS.grpc.container))
  .option('--metrics-port <port>', 'Prometheus metrics; 0 takes a free one', String(PORTS.metrics.container))
  .option('--model-dir <path>', 'where fetched models are kept', modelDirectory)
  .option('--pvc-root <path>', 'where claims that pvc:// names are mounted', PVC_ROOT)
  .addOption(new Option('--device <device>', 'gpu demands that a GPU really computes').choices(['cpu', 'gpu']))
  .option('--max-batch-size <rows>', 'rows that one engine run may have; 1 turns batching off', '32')
  .option('--max-delay <duration>', 'how long a batch under load may wait to be filled', '0')
  .option('--max-queue-size <requests>', 'requests that may wait for a model before more get 429', '1024')
  .option('--max-request-size <bytes>', 'largest request body', String(64 * 2 ** 20))
  .option('--drain-delay <duration>', 'how long to serve on after SIGTERM while endpoints follow', '5s')
  .option('--grace <duration>', 'how long after SIGTERM to end at the latest', '30s')
  .addOption(
    new Option('--log-level <level>', 'least severity that is logged')
      .choices(['error', 'warn', 'info', 'debug'])
      .default('info'),
  )
  .action(serve);

async function serve(flags: ServerFlags & { readonly logLevel: LogLevel }): Promise<void> {
  const logger = createLogger(flags.logLevel, { role: 'server' });
  const stop = new AbortController();
  const hurry = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) hurry.abort(new Error(`a second signal, ${signal}`));
    else stop.abort(new Error(signal));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.exitCode = await run(flags, logger, stop.signal, hurry).catch((error: unknown) => fail(error, logger));
  // Connections that were cut off may leave handles behind; what counts has been answered and written.
  logger.end(() => (process.exitCode === 1 && hurry.signal.aborted ? exitAmidRuns() : process.exit()));
}

/**
 * Ends the process with 1, also where a thread of it computes: `process.exit` would wait for the run, as long as it
 * takes, and then abort. Only to become another program ends threads at once; a signal to itself does nothing to the
 * first process of a container.
 */
function exitAmidRuns(): void {
  process.execve?.(process.execPath, [process.execPath, '-e', 'process.exit(1)'], {});
  process.exit(1);
}

/** Serves until `stop`; the result is the exit code. */
async function run(flags: ServerFlags, logger: Logger, stop: AbortSignal, hurry: AbortController): Promise<number> {
  const options = compileOptions(flags, environment.servingConfig);
  const metrics = new ServingMetrics().withProcessMetrics();
  const server = new InferenceServer(options, {
    logger,
    metrics,
    log: predictionLog(options, metrics),
    serverVersion: VERSION,
    instance: randomUUID(),
    delay: (ms, signal) => wait(ms, undefined, { signal }).catch(() => undefined),
    openSession: async (model) => {
      const { session } = await loadModel(model, {
        modelRoot: options.modelRoot,
        pvcRoot: options.pvcRoot,
        device: options.device,
        credentials: environment.modelCredentials,
        logger,
        signal: stop,
      });
      return session;
    },
  });
  try {
    logger.info('listening', { host: options.host, ...(await server.listen()) });
    await server.load();
  } catch (error) {
    server.kill();
    if (stop.aborted) return 0;
    throw error;
  }
  logger.info('ready', { models: options.config.models.map(({ name }) => name) });
  await aborted(stop);
  const limit = setTimeout(() => hurry.abort(new Error(`${options.graceMs} ms have passed`)), options.graceMs);
  const isComplete = await server.stop(hurry.signal);
  clearTimeout(limit);
  if (isComplete) logger.info('stopped: every request was answered');
  else logger.error('stopped before every request was answered and logged', { reason: String(hurry.signal.reason) });
  return isComplete ? 0 : 1;
}

/** Says why the server ends, in its log and where the kubelet reads it. */
async function fail(error: unknown, logger: Logger): Promise<number> {
  const { reason, message, json } = terminationMessage(error);
  logger.error(message, { reason });
  // The kubelet makes the file; outside a pod it is not ours to make.
  await writeFile(environment.terminationLogPath, json, { flag: 'r+' }).catch(() =>
    logger.debug('no termination log was written', { path: environment.terminationLogPath }),
  );
  return 1;
}

function predictionLog(options: ServerOptions, metrics: ServingMetrics): PredictionLog | undefined {
  const samplingRate = options.config.predictionLog?.samplingRate ?? 0;
  if (samplingRate === 0) return undefined;
  return new PredictionLog({
    samplingRate,
    write: textSink(process.stdout),
    random: Math.random,
    now: () => new Date(),
    onDropped: (records) => metrics.droppedLogRecords.inc(records),
  });
}
