import { existsSync, readFileSync } from 'node:fs';
import { ServingConfig } from '../api/serving-config.ts';
import { durationMs } from '../api/v1alpha1/duration.ts';
import { withoutSecrets } from '../api/without-secrets.ts';
import { anyAddress } from './any-address.ts';
import { toInferenceError } from './inference-error.ts';
import { LoadFailure } from './models/failure.ts';
import { parseJson } from './protocol/json-parse.ts';
import { schemaMismatch } from './schema-mismatch.ts';

/** What a server needs after its drain delay to have its connections closed and its requests answered. */
const MIN_CLOSING_MS = 2_000;

/** The flags of `fairlead server`, as commander gives them. */
export interface ServerFlags {
  readonly model: readonly string[];
  readonly config?: string;
  readonly host?: string;
  readonly httpPort: string;
  readonly grpcPort: string;
  readonly metricsPort: string;
  readonly modelDir: string;
  readonly pvcRoot: string;
  readonly device?: string;
  readonly maxBatchSize: string;
  readonly maxDelay: string;
  readonly maxQueueSize: string;
  readonly maxRequestSize: string;
  readonly drainDelay: string;
  readonly grace: string;
}

/** What a server runs with: checked, complete, in units that its names say. */
export interface ServerOptions {
  readonly config: ServingConfig;
  readonly host: string;
  readonly httpPort: number;
  readonly grpcPort: number;
  readonly metricsPort: number;
  readonly modelRoot: string;
  readonly pvcRoot: string;
  readonly device: 'cpu' | 'gpu';
  /** For models that say nothing about batching. */
  readonly maxBatchSize: number;
  readonly maxDelayMs: number;
  readonly maxQueueSize: number;
  readonly maxRequestBytes: number;
  /** How long a server that was told to stop goes on as before, for endpoints to follow. */
  readonly drainDelayMs: number;
  /** After so long from the signal the server ends, whatever is still running. */
  readonly graceMs: number;
}

/**
 * Compiles flags and the environment's configuration into options.
 * @throws LoadFailure InvalidConfiguration, naming the flag or the field.
 */
export function compileOptions(flags: ServerFlags, environmentConfig: string | undefined): ServerOptions {
  const config = readConfig(flags, environmentConfig);
  const names = config.models.map(({ name, version }) => (version === undefined ? name : `${name}@${version}`));
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw misconfigured(`model ${twice} is configured twice`);
  const drainDelayMs = flagMs('--drain-delay', flags.drainDelay);
  const graceMs = flagMs('--grace', flags.grace);
  if (graceMs < drainDelayMs + MIN_CLOSING_MS) {
    throw misconfigured(
      `--grace ${flags.grace}: must be at least ${MIN_CLOSING_MS} ms more than --drain-delay ${flags.drainDelay}, or requests are lost`,
    );
  }
  return Object.freeze({
    config,
    host: flags.host ?? anyAddress(),
    httpPort: integer('--http-port', flags.httpPort, 0, 65_535),
    grpcPort: integer('--grpc-port', flags.grpcPort, 0, 65_535),
    metricsPort: integer('--metrics-port', flags.metricsPort, 0, 65_535),
    modelRoot: flags.modelDir,
    pvcRoot: flags.pvcRoot,
    device: device(flags.device) ?? config.device ?? 'cpu',
    maxBatchSize: integer('--max-batch-size', flags.maxBatchSize, 1, 65_536),
    maxDelayMs: flagMs('--max-delay', flags.maxDelay),
    maxQueueSize: integer('--max-queue-size', flags.maxQueueSize, 1, 1_000_000),
    maxRequestBytes: config.maxRequestBytes ?? integer('--max-request-size', flags.maxRequestSize, 1, 2 ** 31 - 1),
    drainDelayMs,
    graceMs,
  });
}

function readConfig(flags: ServerFlags, environmentConfig: string | undefined): ServingConfig {
  const sources = [
    flags.model.length > 0 ? '--model' : undefined,
    flags.config === undefined ? undefined : '--config',
    environmentConfig === undefined ? undefined : 'FAIRLEAD_SERVER_CONFIG',
  ].filter((source) => source !== undefined);
  if (sources.length > 1) throw misconfigured(`models are given twice, by ${sources.join(' and by ')}`);
  if (flags.config !== undefined) return parseConfig('--config', readConfigFile(flags.config));
  if (environmentConfig !== undefined) return parseConfig('FAIRLEAD_SERVER_CONFIG', environmentConfig);
  if (flags.model.length === 0) throw misconfigured('no model to serve: give --model NAME=URI, or --config FILE');
  return { models: flags.model.map(parseModelFlag) };
}

function readConfigFile(path: string): string {
  if (!existsSync(path)) throw misconfigured(`--config ${path}: no such file`);
  return readFileSync(path, 'utf8');
}

/** `NAME=URI` or `NAME@VERSION=URI`. */
function parseModelFlag(text: string): { name: string; version?: string; uri: string } {
  const match = /^(?<name>[^=@/]+)(@(?<version>[^=/]+))?=(?<uri>.+)$/.exec(text);
  const { name, version, uri } = match?.groups ?? {};
  if (name === undefined || uri === undefined) {
    const address = /[a-z][a-z0-9+.-]*:\/\/.*$/is.exec(text)?.[0] ?? text;
    const shown = text.slice(0, text.length - address.length) + withoutSecrets(address);
    throw misconfigured(
      `--model ${shown}: expected NAME=URI or NAME@VERSION=URI, such as churn=file:///models/churn.onnx`,
    );
  }
  return { name, uri, ...(version === undefined ? {} : { version }) };
}

/**
 * Checks a configuration's text against its schema. Integers in examples keep every digit.
 * @throws LoadFailure InvalidConfiguration, naming the first field that does not fit.
 */
export function parseConfig(source: string, text: string): ServingConfig {
  let config: unknown;
  try {
    config = parseJson(Buffer.from(text), true);
  } catch (error) {
    throw misconfigured(`${source}: ${toInferenceError(error).message}`);
  }
  const mismatch = schemaMismatch(ServingConfig, config, 'the configuration');
  if (mismatch !== undefined) throw misconfigured(`${source}: ${mismatch}`);
  return config as ServingConfig;
}

function integer(flag: string, text: string, min: number, max: number): number {
  const value = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max))
    throw misconfigured(`${flag} ${text}: expected an integer from ${min} to ${max}`);
  return value;
}

/** A Kubernetes duration such as `5s`, `1m30s` or `2ms`, or 0. */
function flagMs(flag: string, text: string): number {
  try {
    return text === '0' ? 0 : durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw misconfigured(`${flag}: ${error.message}`);
  }
}

function device(text: string | undefined): 'cpu' | 'gpu' | undefined {
  if (text === undefined || text === 'cpu' || text === 'gpu') return text;
  throw misconfigured(`--device ${text}: expected cpu or gpu`);
}

function misconfigured(message: string): LoadFailure {
  return new LoadFailure('InvalidConfiguration', message);
}
