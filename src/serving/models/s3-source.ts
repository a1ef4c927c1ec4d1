import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  ListObjectsV2Command,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { LoadFailure } from './failure.ts';
import { statusFailure } from './http-client.ts';
import { resumed, TransientError, withRetries } from './retry.ts';
import { isModelPath, type ModelEntry, type ModelSource, type ModelUri, type SourceOptions } from './source.ts';

/** S3 asks for a region even where, as in most S3-compatible stores, there is only one. */
const DEFAULT_REGION = 'us-east-1';

interface S3Object {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string | undefined;
}

/**
 * `s3://bucket/key` for a file, `s3://bucket/prefix/` for a directory; a name without its slash is tried as both.
 * Credentials come from AWS' default chain; without any the request is anonymous, as public buckets allow.
 */
export const s3Source: ModelSource = {
  async open(uri, options) {
    const [bucket = '', ...rest] = uri.rest.split('/');
    const key = rest.join('/');
    if (bucket === '' || key === '') {
      throw new LoadFailure(
        'InvalidConfiguration',
        `${uri.shown}: write s3://bucket/path/model.onnx or s3://bucket/path/`,
      );
    }
    const bucketOf = new Bucket(await connect(uri, options), bucket, uri, options);
    if (!key.endsWith('/')) {
      const first = await bucketOf.find(key);
      if (first !== undefined) {
        const object = { key, sizeBytes: first.ContentLength ?? 0, etag: first.ETag };
        const path = key.split('/').at(-1) ?? 'model.onnx';
        return {
          layout: 'file',
          entries: one({ path, sizeBytes: object.sizeBytes, content: bucketOf.read(object, first) }),
        };
      }
    }
    const prefix = key.endsWith('/') ? key : `${key}/`;
    const objects = await bucketOf.list(prefix);
    if (objects.length === 0)
      throw new LoadFailure('ModelNotFound', `${uri.shown}: there is neither an object nor a prefix of that name`);
    return { layout: 'directory', entries: bucketOf.entries(prefix, objects) };
  },
};

async function* one(entry: ModelEntry): AsyncGenerator<ModelEntry> {
  yield entry;
}

/** Reads of one bucket; every call is tried again while it may heal. */
class Bucket {
  readonly #client: S3Client;
  readonly #isAnonymous: boolean;
  readonly #bucket: string;
  readonly #uri: ModelUri;
  readonly #options: SourceOptions;

  constructor({ client, isAnonymous }: Connection, bucket: string, uri: ModelUri, options: SourceOptions) {
    this.#client = client;
    this.#isAnonymous = isAnonymous;
    this.#bucket = bucket;
    this.#uri = uri;
    this.#options = options;
  }

  /** The object of that key, opened from its start; undefined when there is none. */
  async find(key: string): Promise<GetObjectCommandOutput | undefined> {
    return withRetries(this.#uri.shown, this.#options, () => this.#get(key)).catch((error: unknown) => {
      if (error instanceof LoadFailure && error.reason === 'ModelNotFound' && !isNoBucket(error.cause))
        return undefined;
      throw error;
    });
  }

  async list(prefix: string): Promise<S3Object[]> {
    const objects: S3Object[] = [];
    let token: string | undefined;
    do {
      const page = await withRetries(this.#uri.shown, this.#options, () =>
        this.#send(() =>
          this.#client.send(
            new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: prefix, ContinuationToken: token }),
            { abortSignal: this.#options.signal },
          ),
        ),
      );
      for (const { Key: key, Size: sizeBytes = 0, ETag: etag } of page.Contents ?? []) {
        if (key !== undefined && !key.endsWith('/')) objects.push({ key, sizeBytes, etag });
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return objects;
  }

  async *entries(prefix: string, objects: readonly S3Object[]): AsyncGenerator<ModelEntry> {
    for (const object of objects) {
      const path = object.key.slice(prefix.length);
      if (!isModelPath(path)) continue;
      const first = await withRetries(this.#uri.shown, this.#options, () => this.#get(object.key, object.etag));
      yield { path, sizeBytes: object.sizeBytes, content: this.read(object, first) };
    }
  }

  read(object: S3Object, first: GetObjectCommandOutput): AsyncIterable<Uint8Array> {
    return resumed(this.#uri.shown, this.#options, this.#bodyOf(first), object.sizeBytes, async (offsetBytes) =>
      this.#bodyOf(await this.#get(object.key, object.etag, offsetBytes)),
    );
  }

  #get(key: string, etag?: string, offsetBytes = 0): Promise<GetObjectCommandOutput> {
    const range = offsetBytes === 0 ? {} : { Range: `bytes=${offsetBytes}-` };
    const command = new GetObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      ...(etag ? { IfMatch: etag } : {}),
      ...range,
    });
    return this.#send(() => this.#client.send(command, { abortSignal: this.#options.signal }));
  }

  async #send<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw this.#failureOf(error);
    }
  }

  async *#bodyOf({ Body: body }: GetObjectCommandOutput): AsyncGenerator<Uint8Array> {
    if (body === undefined) return;
    try {
      yield* body as unknown as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw this.#failureOf(error);
    }
  }

  #failureOf(error: unknown): unknown {
    if (this.#options.signal.aborted || !(error instanceof Error)) return error;
    const { shown } = this.#uri;
    const { $metadata: metadata } = error as { $metadata?: { httpStatusCode?: number } };
    const status = metadata?.httpStatusCode;
    const unsigned = this.#isAnonymous ? ' (no AWS credentials were found, so the request was not signed)' : '';
    const detail = `${error.name}: ${error.message}${unsigned}`;
    if (status === 412)
      return new LoadFailure('SourceUnreachable', `${shown} was changed while it was read; try again`);
    if (status === undefined || status < 300) return new TransientError(detail, { cause: error });
    const failure = statusFailure(status, shown, detail);
    failure.cause = error;
    return failure;
  }
}

interface Connection {
  readonly client: S3Client;
  readonly isAnonymous: boolean;
}

async function connect(uri: ModelUri, { limits, credentials, ...options }: SourceOptions): Promise<Connection> {
  const { idleTimeoutMs } = limits;
  const endpoint = options.endpoint ?? credentials.s3Endpoint;
  const base: S3ClientConfig = {
    // Attempts are counted in one place, ours; and what arrives is hashed here anyway.
    maxAttempts: 1,
    responseChecksumValidation: 'WHEN_REQUIRED',
    // A bucket's region need not be known: it tells.
    followRegionRedirects: true,
    requestHandler: {
      connectionTimeout: Math.min(10_000, idleTimeoutMs),
      requestTimeout: idleTimeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout: idleTimeoutMs,
    },
    ...(endpoint === undefined ? {} : { endpoint: endpointUrl(endpoint, uri), forcePathStyle: true }),
  };
  const defaults = new S3Client(base);
  const region = await defaults.config.region().catch(() => DEFAULT_REGION);
  const isAnonymous = await hasNoCredentials(defaults, uri);
  defaults.destroy();
  const anonymous: S3ClientConfig = {
    credentials: { accessKeyId: '', secretAccessKey: '' },
    signer: { sign: async (request) => request },
  };
  return { client: new S3Client({ ...base, region, ...(isAnonymous ? anonymous : {}) }), isAnonymous };
}

/** @throws LoadFailure `AccessDenied` when there are credentials, but they cannot be used. */
async function hasNoCredentials(client: S3Client, uri: ModelUri): Promise<boolean> {
  try {
    await client.config.credentials();
    return false;
  } catch (error) {
    if (error instanceof Error && error.name === 'CredentialsProviderError') return true;
    throw new LoadFailure('AccessDenied', `${uri.shown}: the AWS credentials cannot be used: ${String(error)}`, {
      cause: error,
    });
  }
}

function endpointUrl(endpoint: string, uri: ModelUri): string {
  const url = /^https?:\/\//.test(endpoint) ? endpoint : `https://${endpoint}`;
  if (URL.canParse(url)) return url;
  throw new LoadFailure('InvalidConfiguration', `${uri.shown}: the endpoint ${endpoint} is not a URL`);
}

function isNoBucket(error: unknown): boolean {
  return error instanceof Error && error.name === 'NoSuchBucket';
}
