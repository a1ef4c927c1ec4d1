import { LRUCache } from 'lru-cache';
import Type, { type Static, type TSchema } from 'typebox';
import Value from 'typebox/value';
import {
  type ModelRegistry,
  type RegistryAnswer,
  type RegistryReference,
  RegistryUnavailableError,
} from '../api/registry-answers.ts';

/** MLflow's model registry, by the REST API that its tracking server offers (`/api/2.0/mlflow`). */

export interface MlflowOptions {
  /** Such as `http://mlflow.ml:5000`. */
  readonly endpoint: string;
  readonly credentials: {
    readonly username?: string | undefined;
    readonly password?: string | undefined;
    readonly token?: string | undefined;
  };
  /** Longest wait for one answer. */
  readonly timeoutMs: number;
  readonly fetch: typeof globalThis.fetch;
  readonly signal: AbortSignal;
}

const Model = Type.Object({
  registered_model: Type.Object({
    aliases: Type.Optional(Type.Array(Type.Object({ alias: Type.String(), version: Type.String() }))),
  }),
});
const Version = Type.Object({
  model_version: Type.Object({
    version: Type.String(),
    status: Type.Optional(Type.String()),
    status_message: Type.Optional(Type.String()),
  }),
});
const DownloadUri = Type.Object({ artifact_uri: Type.String({ minLength: 1 }) });
const Failure = Type.Object({ error_code: Type.String(), message: Type.Optional(Type.String()) });

const MAX_ANSWER_BYTES = 4 << 20;
const NAMES_SHOWN = 10;

/** The server said that there is no such thing. */
class NotThere extends Error {}

export class MlflowRegistry implements ModelRegistry {
  readonly #options: MlflowOptions;
  readonly #origin: string;
  /** Where versions are: that never changes, and is asked once. */
  readonly #places = new LRUCache<string, string>({ max: 1000 });

  constructor(options: MlflowOptions) {
    this.#options = options;
    this.#origin = options.endpoint.replace(/\/+$/, '');
  }

  async find(reference: RegistryReference): Promise<RegistryAnswer> {
    try {
      const version = reference.version ?? (await this.#versionOf(reference));
      return typeof version === 'string' ? await this.#place(reference, version) : version;
    } catch (error) {
      if (error instanceof NotThere) return { kind: 'missing', message: cut(`MLflow: ${error.message}`) };
      throw error;
    }
  }

  async #versionOf({ model, alias = '' }: RegistryReference): Promise<string | RegistryAnswer> {
    const { registered_model } = await this.#get('registered-models/get', { name: model }, Model);
    const aliases = registered_model.aliases ?? [];
    const found = aliases.find((each) => each.alias === alias);
    if (found !== undefined) return found.version;
    const known = aliases.map((each) => each.alias).sort();
    const shown = known.length === 0 ? 'none' : known.slice(0, NAMES_SHOWN).join(', ');
    return { kind: 'missing', message: cut(`MLflow: model ${model} has no alias ${alias}; it has ${shown}`) };
  }

  async #place({ model, alias }: RegistryReference, version: string): Promise<RegistryAnswer> {
    const key = `${model}/${version}`;
    const known = this.#places.get(key);
    if (known !== undefined) return { kind: 'found', version, uri: known };
    const which = { name: model, version };
    const { model_version } = await this.#get('model-versions/get', which, Version);
    const { status = 'READY', status_message: why = '' } = model_version;
    const by = alias === undefined ? '' : `, which alias ${alias} stands for,`;
    if (status !== 'READY') {
      const told = why === '' ? status : `${status}: ${why}`;
      return { kind: 'missing', message: cut(`MLflow: version ${version} of model ${model}${by} is ${told}`) };
    }
    const { artifact_uri: uri } = await this.#get('model-versions/get-download-uri', which, DownloadUri);
    const place = modelPlace(uri);
    if (place !== undefined) {
      this.#places.set(key, place);
      return { kind: 'found', version, uri: place };
    }
    const message = `MLflow: version ${version} of model ${model}${by} is at ${uri}, which is not read from: keep it on S3, or let the tracking server serve it (--serve-artifacts)`;
    return { kind: 'missing', message: cut(message) };
  }

  async #get<T extends TSchema>(
    method: string,
    query: Readonly<Record<string, string>>,
    schema: T,
  ): Promise<Static<T>> {
    const url = `${this.#origin}/api/2.0/mlflow/${method}?${new URLSearchParams(query)}`;
    const { status, retryAfterMs, text } = await this.#ask(url);
    const body = parse(text);
    if (status === 200 && Value.Check(schema, body)) return body;
    const told = Value.Check(Failure, body) ? `${body.error_code}: ${body.message ?? ''}` : '';
    if (isNotThere(status, told)) throw new NotThere(told.replace(/^[A-Z_]+: /, ''));
    if (status === 401 || status === 403) {
      throw this.#unavailable(
        'AccessDenied',
        `answered ${status}; check credentialsRef (MLFLOW_TRACKING_USERNAME and the like)`,
      );
    }
    const what =
      status === 200
        ? 'what answers is no MLflow tracking server'
        : `answered ${status}${told === '' ? '' : `: ${told}`}`;
    throw this.#unavailable('SourceUnreachable', what, retryAfterMs);
  }

  async #ask(
    url: string,
  ): Promise<{ readonly status: number; readonly retryAfterMs: number | undefined; readonly text: string }> {
    const { fetch, signal, timeoutMs } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      const headers = { accept: 'application/json', ...this.#authorization() };
      const response = await fetch(url, { headers, redirect: 'error', signal: AbortSignal.any([signal, deadline]) });
      const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
      const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
      return { status: response.status, retryAfterMs, text: await boundedText(response) };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const why = deadline.aborted ? `no answer within ${timeoutMs} ms` : causeOf(error);
      throw this.#unavailable('SourceUnreachable', why);
    }
  }

  #authorization(): Readonly<Record<string, string>> {
    const { username, password = '', token } = this.#options.credentials;
    if (username !== undefined) {
      return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
    }
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  #unavailable(
    reason: 'SourceUnreachable' | 'AccessDenied',
    why: string,
    retryAfterMs?: number,
  ): RegistryUnavailableError {
    return new RegistryUnavailableError(reason, cut(`MLflow at ${this.#origin}: ${why}`), retryAfterMs);
  }
}

/** MLflow answers an alias that it does not know as a bad parameter, and everything else that is missing as 404. */
function isNotThere(status: number, told: string): boolean {
  return (status === 404 && told.startsWith('RESOURCE_DOES_NOT_EXIST')) || (status === 400 && / not found/.test(told));
}

/** A place that pods can read, as they write it; undefined for any other. */
export function modelPlace(uri: string): string | undefined {
  const path = /^mlflow-artifacts:(?:\/\/[^/]*)?(\/.+)$/.exec(uri)?.[1];
  if (path !== undefined) return `mlflow-artifacts://${path}`;
  return /^(s3|https?|file):\/\/[^ ]+$/.test(uri) ? uri : undefined;
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `fetch` hides what went wrong in the cause. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}

function cut(message: string): string {
  return message.slice(0, 1000);
}
