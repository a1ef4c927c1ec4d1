import { withoutSecrets } from '../../api/without-secrets.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { LoadFailure } from './failure.ts';

/** One file of a model as it arrives. Its content is read once, and before the next entry is asked for. */
export interface ModelEntry {
  /** Relative, with `/` between its parts; never leads out of the model. */
  readonly path: string;
  /** Undefined where the source does not say before the end. */
  readonly sizeBytes: number | undefined;
  readonly content: AsyncIterable<Uint8Array>;
}

/** A model as a source gives it: one file, or a directory of files. */
export interface ModelContent {
  readonly layout: 'file' | 'directory';
  /**
   * The files in the source's order. A path given twice counts as its last content. Throws `LoadFailure` when the
   * model cannot be read; what heals in seconds has been tried again before.
   */
  readonly entries: AsyncIterable<ModelEntry>;
  /** Where the model's files lie already, to be read in place; absent for what has to be fetched. */
  readonly local?: LocalPlace;
}

export interface LocalPlace {
  /** The model's file, or its directory. */
  readonly path: string;
  /** Changes when any file of the model is written, replaced, added or removed. */
  fingerprint(): Promise<string>;
}

/** What opens models of one kind of URI. */
export interface ModelSource {
  /** @throws LoadFailure when there is no such model, or it cannot be reached or read. */
  open(uri: ModelUri, options: SourceOptions): Promise<ModelContent>;
}

/** Secrets that sources present; AWS finds its own by its default chain. */
export interface ModelCredentials {
  readonly httpBearerToken?: string | undefined;
  readonly registryUsername?: string | undefined;
  readonly registryPassword?: string | undefined;
  readonly mlflowUsername?: string | undefined;
  readonly mlflowPassword?: string | undefined;
  readonly mlflowToken?: string | undefined;
  /** Where `s3://` is, where no endpoint is given. */
  readonly s3Endpoint?: string | undefined;
}

export interface SourceLimits {
  /** Longest wait for an answer's first byte, and between two pieces of its body. */
  readonly idleTimeoutMs: number;
  /** Longest time one model may take to arrive. */
  readonly totalTimeoutMs: number;
  readonly maxModelBytes: number;
  readonly maxRedirects: number;
  /** Waits before the second, third ... attempt at what heals in seconds. */
  readonly retryDelaysMs: readonly number[];
}

export const DEFAULT_SOURCE_LIMITS: SourceLimits = Object.freeze({
  idleTimeoutMs: 30_000,
  totalTimeoutMs: 3_600_000,
  maxModelBytes: 256 * 2 ** 30,
  maxRedirects: 5,
  retryDelaysMs: [500, 2_000, 5_000],
});

export interface SourceOptions {
  /** `pvc://CLAIM/PATH` lies at `<pvcRoot>/CLAIM/PATH`. */
  readonly pvcRoot: string;
  /** Endpoint of an S3-compatible store, a registry or a tracking server, such as `http://minio:9000`. */
  readonly endpoint?: string | undefined;
  readonly credentials: ModelCredentials;
  readonly limits: SourceLimits;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Waits, or rejects when the signal aborts. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** A model's URI, taken apart; `shown` is safe to print. */
export interface ModelUri {
  readonly scheme: string;
  /** What follows `scheme://`. */
  readonly rest: string;
  /** The URI without user, password, query and fragment, which may hold secrets. */
  readonly shown: string;
}

/** @throws LoadFailure `InvalidConfiguration` when `uri` does not begin with `scheme://`. */
export function parseModelUri(uri: string): ModelUri {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(uri);
  const [, scheme, rest] = match ?? [];
  if (scheme === undefined || rest === undefined || rest === '') {
    throw new LoadFailure(
      'InvalidConfiguration',
      `The model's URI ${JSON.stringify(withoutSecrets(uri))} is not of the form scheme://path, such as s3://models/churn/`,
    );
  }
  return { scheme: scheme.toLowerCase(), rest, shown: withoutSecrets(uri) };
}

/**
 * Whether `path` names a file of a model: hidden files and folders (`.git`, `.cache`, a ConfigMap volume's `..data`)
 * are not part of it, whatever the source, so that one digest holds everywhere.
 * @throws LoadFailure `InvalidModel` when the path leads out of the model's directory.
 */
export function isModelPath(path: string): boolean {
  const parts = path.split('/');
  if (path === '' || parts.some((part) => part === '' || part === '.' || part === '..') || /[\0\n\\]/.test(path)) {
    throw new LoadFailure('InvalidModel', `The model holds a file with the unsafe name ${JSON.stringify(path)}`);
  }
  return !parts.some((part) => part.startsWith('.'));
}
