import { createHash } from 'node:crypto';
import { LoadFailure } from './failure.ts';
import { bodyBytes, type HttpAnswer, httpGet, skipped, statusFailure } from './http-client.ts';
import { answerChallenge, parseChallenge } from './oci-auth.ts';
import { resumed, withRetries } from './retry.ts';
import type { ModelUri, SourceOptions } from './source.ts';

export interface OciReference {
  /** Such as `https://ghcr.io`. */
  readonly origin: string;
  readonly repository: string;
  /** A tag, or a digest such as `sha256:...`. */
  readonly reference: string;
}

export interface OciDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly os?: string; readonly architecture?: string };
}

export interface OciManifest {
  readonly mediaType?: string;
  readonly config?: OciDescriptor;
  readonly layers?: readonly OciDescriptor[];
  /** Of an index: the manifests to choose from. */
  readonly manifests?: readonly OciDescriptor[];
}

/** The distribution specification's own bound on a manifest. */
const MAX_MANIFEST_BYTES = 4 << 20;
const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];

/** `oci://registry/repository[:tag|@digest]`; plain http for this host itself, or where the endpoint says so. */
export function parseOciReference(uri: ModelUri, endpoint: string | undefined): OciReference {
  const match = /^([^/@]+)\/([a-z0-9][a-z0-9._/-]*?)(?::([\w][\w.-]{0,127}))?(?:@([a-z0-9]+:[0-9a-f]+))?$/.exec(
    uri.rest,
  );
  const [, host, repository, tag = 'latest', digest] = match ?? [];
  if (host === undefined || repository === undefined) {
    throw new LoadFailure(
      'InvalidConfiguration',
      `${uri.shown}: write oci://registry/repository:tag or ...@sha256:digest`,
    );
  }
  const isLocal = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host);
  const origin = endpoint === undefined ? `${isLocal ? 'http' : 'https'}://${host}` : withScheme(endpoint);
  if (!URL.canParse(origin))
    throw new LoadFailure('InvalidConfiguration', `${uri.shown}: ${origin} is not a registry's URL`);
  return { origin: new URL(origin).origin, repository, reference: digest ?? tag };
}

function withScheme(endpoint: string): string {
  return /^https?:\/\//.test(endpoint) ? endpoint : `https://${endpoint}`;
}

/** Reads from one repository of a registry, by the OCI distribution specification. */
export class OciRepository {
  readonly #reference: OciReference;
  readonly #shown: string;
  readonly #options: SourceOptions;
  #authorization: string | undefined;

  constructor(reference: OciReference, shown: string, options: SourceOptions) {
    this.#reference = reference;
    this.#shown = shown;
    this.#options = options;
  }

  /** @throws LoadFailure when there is none, or its bytes are not those of the digest asked for. */
  async manifest(reference: string): Promise<OciManifest> {
    const text = await withRetries(this.#shown, this.#options, async () => {
      const answer = await this.#get(`manifests/${reference}`, { accept: MANIFEST_TYPES.join(', ') });
      return bodyBytes(answer, MAX_MANIFEST_BYTES, `the manifest of ${this.#shown}`);
    });
    const [algorithm] = reference.split(':', 1);
    if (reference.includes(':') && digestOf(algorithm ?? '', [text]) !== reference) {
      throw new LoadFailure('DigestMismatch', `${this.#shown}: the registry's manifest is not the one of ${reference}`);
    }
    try {
      return JSON.parse(text.toString()) as OciManifest;
    } catch (error) {
      throw new LoadFailure('InvalidModel', `${this.#shown}: the manifest is not JSON`, { cause: error });
    }
  }

  /** A layer's bytes; throws at their end when they are not those of its digest. */
  async *blob(descriptor: OciDescriptor): AsyncGenerator<Uint8Array> {
    const { digest, size } = descriptor;
    const hash = createHash(algorithmOf(digest, this.#shown));
    const get = async (offsetBytes: number) => {
      const answer = await this.#get(`blobs/${digest}`, offsetBytes === 0 ? {} : { range: `bytes=${offsetBytes}-` });
      return answer.status === 206 || offsetBytes === 0 ? answer.body : skipped(answer.body, offsetBytes);
    };
    const first = await withRetries(this.#shown, this.#options, () => get(0));
    for await (const chunk of resumed(this.#shown, this.#options, first, size, get)) {
      hash.update(chunk);
      yield chunk;
    }
    const found = `${digest.split(':', 1)[0]}:${hash.digest('hex')}`;
    if (found !== digest)
      throw new LoadFailure('DigestMismatch', `${this.#shown}: layer ${digest} has the bytes of ${found}`);
  }

  async #get(path: string, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const { origin, repository } = this.#reference;
    const url = new URL(`/v2/${repository}/${path}`, origin);
    const send = () => httpGet(url, { headers, authorization: this.#authorization }, this.#options);
    let answer = await send();
    if (answer.status === 401) {
      answer.discard();
      const header = answer.headers['www-authenticate'];
      const challenge = typeof header === 'string' ? parseChallenge(header) : undefined;
      const scope = `repository:${repository}:pull`;
      this.#authorization = await answerChallenge(
        challenge,
        this.#shown,
        scope,
        this.#options,
        url.protocol === 'https:',
      );
      answer = await send();
    }
    if (answer.status === 200 || answer.status === 206) return answer;
    answer.discard();
    throw statusFailure(answer.status, this.#shown);
  }
}

function algorithmOf(digest: string, shown: string): string {
  const [algorithm = ''] = digest.split(':', 1);
  if (algorithm === 'sha256' || algorithm === 'sha512') return algorithm;
  throw new LoadFailure(
    'InvalidModel',
    `${shown}: digests of kind ${algorithm} are not supported, only sha256 and sha512`,
  );
}

function digestOf(algorithm: string, chunks: readonly Uint8Array[]): string {
  if (algorithm !== 'sha256' && algorithm !== 'sha512') return '';
  const hash = createHash(algorithm);
  for (const chunk of chunks) hash.update(chunk);
  return `${algorithm}:${hash.digest('hex')}`;
}
