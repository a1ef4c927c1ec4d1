import { createHash } from 'node:crypto';

export interface PushOptions {
  /** `http://HOST:PORT` */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  readonly credentials?: { readonly username: string; readonly password: string };
  /** Of the manifest; an artefact's unless it is to look like a container image. */
  readonly configMediaType?: string;
}

export interface Layer {
  readonly mediaType: string;
  readonly content: Uint8Array;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A layer as `oras push FILE` writes it. */
export function titledLayer(title: string, content: Uint8Array): Layer {
  const mediaType = 'application/octet-stream';
  return { mediaType, content, annotations: { 'org.opencontainers.image.title': title } };
}

/** Pushes an OCI artefact and returns its manifest's digest. @throws Error with the registry's answer. */
export async function pushArtefact(options: PushOptions, layers: readonly Layer[]): Promise<string> {
  const config = new TextEncoder().encode('{}');
  const configMediaType = options.configMediaType ?? 'application/vnd.oci.empty.v1+json';
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    artifactType: 'application/vnd.fairlead.model.v1',
    config: await pushBlob(options, { mediaType: configMediaType, content: config }),
    layers: await Promise.all(layers.map((layer) => pushBlob(options, layer))),
  };
  return pushManifest(options, options.tag, manifest);
}

/** Pushes any manifest or index and returns its digest. */
export async function pushManifest(
  options: PushOptions,
  reference: string,
  manifest: { readonly mediaType: string },
): Promise<string> {
  const body = JSON.stringify(manifest);
  const headers = { 'content-type': manifest.mediaType };
  await send(options, `${options.registry}/v2/${options.repository}/manifests/${reference}`, 'PUT', headers, body);
  return digestOf(new TextEncoder().encode(body));
}

async function pushBlob(options: PushOptions, { mediaType, content, annotations }: Layer) {
  const digest = digestOf(content);
  const start = await send(options, `${options.registry}/v2/${options.repository}/blobs/uploads/`, 'POST', {});
  const url = new URL(start.headers.get('location') ?? '', options.registry);
  url.searchParams.set('digest', digest);
  await send(options, url.href, 'PUT', { 'content-type': 'application/octet-stream' }, Buffer.from(content));
  return { mediaType, digest, size: content.byteLength, ...(annotations === undefined ? {} : { annotations }) };
}

async function send(
  { credentials }: PushOptions,
  url: string,
  method: string,
  headers: Readonly<Record<string, string>>,
  body?: string | Buffer<ArrayBuffer>,
): Promise<Response> {
  const pair = Buffer.from(`${credentials?.username}:${credentials?.password}`).toString('base64');
  const authorization = credentials === undefined ? {} : { authorization: `Basic ${pair}` };
  const answer = await fetch(url, {
    method,
    headers: { ...headers, ...authorization },
    ...(body === undefined ? {} : { body }),
  });
  if (!answer.ok) throw new Error(`${method} ${url} answered ${answer.status}: ${await answer.text()}`);
  await answer.body?.cancel();
  return answer;
}

function digestOf(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
