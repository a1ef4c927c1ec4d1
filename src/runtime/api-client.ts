import { ApiError, ConnectionError, type StatusBody } from './api-error.ts';
import type { ApiRequest, Transport } from './kube-transport.ts';
import { StoppedError } from './outcome.ts';
import {
  apiVersionOf,
  formatSelector,
  type KubeObject,
  type LabelSelector,
  type ObjectName,
  type Resource,
} from './types.ts';

export interface KubeList<T extends KubeObject> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly T[];
}

export type WatchEvent<T extends KubeObject> = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
};

export interface ListOptions {
  /** All namespaces when absent. */
  readonly namespace?: string | undefined;
  readonly selector?: LabelSelector | undefined;
  /** Fields that objects must have with these values; each kind offers only a few. */
  readonly fields?: Readonly<Record<string, string>>;
  readonly limit?: number;
  readonly continue?: string | undefined;
  readonly signal?: AbortSignal;
}

export interface WatchOptions {
  readonly namespace?: string | undefined;
  readonly selector?: LabelSelector | undefined;
  readonly resourceVersion: string;
  /** The server ends the watch after this time; the next one goes on from where it was. */
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

export interface DeleteOptions {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan';
}

export type JsonPatch = readonly (
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }
)[];

/** What an apply sends: the fields it wants to own, and no others. */
export type Manifest = KubeObject & { readonly [field: string]: unknown };

/** What the scale subresource answers: the count, and the version that the object itself has with it. */
export interface Scale extends KubeObject {
  readonly spec?: { readonly replicas?: number };
}

/** Decides whether this process may still write. */
export interface WriteFence {
  /** @throws StoppedError once it may not. */
  assertMayWrite(): void;
  /** Aborts at that moment; writes in flight are cut off. */
  readonly signal: AbortSignal;
}

/** The verbs of the Kubernetes API on raw JSON. Every method throws ApiError or ConnectionError. */
export class ApiClient {
  readonly #transport: Transport;
  readonly #fieldManager: string;
  readonly #fence: WriteFence | undefined;

  constructor(transport: Transport, fieldManager: string, fence?: WriteFence) {
    this.#transport = transport;
    this.#fieldManager = fieldManager;
    this.#fence = fence;
  }

  get fieldManager(): string {
    return this.#fieldManager;
  }

  /** The same client, which writes only while the fence lets it. */
  fencedBy(fence: WriteFence): ApiClient {
    return new ApiClient(this.#transport, this.#fieldManager, fence);
  }

  async get<T extends KubeObject>(resource: Resource<T>, name: ObjectName, signal?: AbortSignal): Promise<T> {
    return (await this.#transport.json({ method: 'GET', path: pathTo(resource, name), signal })) as T;
  }

  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<KubeList<T>> {
    const query = new URLSearchParams();
    if (options.limit !== undefined) query.set('limit', String(options.limit));
    if (options.continue !== undefined) query.set('continue', options.continue);
    addSelector(query, options.selector);
    if (options.fields !== undefined) query.set('fieldSelector', formatSelector(options.fields));
    const path = withQuery(pathToAll(resource, options.namespace), query);
    const list = (await this.#transport.json({ method: 'GET', path, signal: options.signal })) as KubeList<T>;
    // Items of a list come without these two; everything downstream relies on them.
    const own = { apiVersion: apiVersionOf(resource), kind: resource.kind };
    for (const item of list.items) Object.assign(item, own);
    return list;
  }

  /** Events in order, until the server ends the watch. @throws ApiError with status 410 when the version is too old. */
  async *watch<T extends KubeObject>(resource: Resource<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
    const query = new URLSearchParams({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: options.resourceVersion,
      timeoutSeconds: String(options.timeoutSeconds),
    });
    addSelector(query, options.selector);
    const path = withQuery(pathToAll(resource, options.namespace), query);
    for await (const line of splitLines(this.#transport.stream(path, options.signal))) {
      const event = JSON.parse(line) as WatchEvent<T> | { type: 'ERROR'; object: StatusBody };
      if (event.type === 'ERROR') throw new ApiError(`WATCH ${path}`, event.object.code ?? 500, event.object);
      yield event;
    }
  }

  async create<T extends KubeObject>(resource: Resource<T>, object: Manifest, signal?: AbortSignal): Promise<T> {
    const path = withQuery(pathToAll(resource, object.metadata.namespace), this.#manager());
    return (await this.#write({ method: 'POST', path, body: object, signal })) as T;
  }

  /** Replaces an object; `metadata.resourceVersion` in it fences the write. */
  async update<T extends KubeObject>(resource: Resource<T>, object: Manifest, signal?: AbortSignal): Promise<T> {
    const path = withQuery(pathTo(resource, object.metadata), this.#manager());
    return (await this.#write({ method: 'PUT', path, body: object, signal })) as T;
  }

  /**
   * Server-side apply. Without `force` a field that another manager owns with another value refuses it as a Conflict.
   */
  async apply<T extends KubeObject>(resource: Resource<T>, object: Manifest, force: boolean): Promise<T> {
    const query = this.#manager();
    query.set('force', String(force));
    const path = withQuery(pathTo(resource, object.metadata), query);
    return (await this.#write({
      method: 'PATCH',
      path,
      body: object,
      contentType: 'application/apply-patch+yaml',
    })) as T;
  }

  /** RFC 7396. A `metadata.resourceVersion` in the patch fences the write. */
  async mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    name: ObjectName,
    patch: unknown,
    subresource?: 'status' | 'scale',
  ): Promise<T> {
    const path = withQuery(pathTo(resource, name, subresource), this.#manager());
    return (await this.#write({
      method: 'PATCH',
      path,
      body: patch,
      contentType: 'application/merge-patch+json',
    })) as T;
  }

  /** RFC 6902; a failed `test` is an ApiError with `isInvalid`. */
  async jsonPatch<T extends KubeObject>(resource: Resource<T>, name: ObjectName, patch: JsonPatch): Promise<T> {
    const path = withQuery(pathTo(resource, name), this.#manager());
    return (await this.#write({ method: 'PATCH', path, body: patch, contentType: 'application/json-patch+json' })) as T;
  }

  /** Sets the number of replicas by the scale subresource, as an autoscaler does. Answers the Scale, not the object. */
  async updateScale(resource: Resource, name: ObjectName, replicas: number): Promise<Scale> {
    return await this.mergePatch<Scale>(resource, name, { spec: { replicas } }, 'scale');
  }

  /** Deletes the object if the preconditions hold; Conflict if not. */
  async delete(resource: Resource, name: ObjectName, options: DeleteOptions = {}): Promise<void> {
    const { uid, resourceVersion, propagation = 'Background' } = options;
    const preconditions = { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) };
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: propagation, preconditions };
    await this.#write({ method: 'DELETE', path: pathTo(resource, name), body });
  }

  #manager(): URLSearchParams {
    return new URLSearchParams({ fieldManager: this.#fieldManager });
  }

  async #write(request: ApiRequest): Promise<unknown> {
    this.#fence?.assertMayWrite();
    const signals = [request.signal, this.#fence?.signal].filter((signal) => signal !== undefined);
    const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
    try {
      return await this.#transport.json({ ...request, signal });
    } catch (error) {
      if (error instanceof ConnectionError && this.#fence?.signal.aborted === true) {
        throw new StoppedError(`${request.method} ${request.path} was cut off`, { cause: error });
      }
      throw error;
    }
  }
}

function pathToAll(resource: Resource, namespace: string | undefined): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope = resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${resource.plural}`;
}

function pathTo(resource: Resource, { namespace, name }: ObjectName, subresource?: string): string {
  if (resource.namespaced && namespace === undefined) throw new Error(`${resource.kind} ${name} needs a namespace`);
  const tail = subresource === undefined ? '' : `/${subresource}`;
  return `${pathToAll(resource, namespace)}/${encodeURIComponent(name)}${tail}`;
}

function addSelector(query: URLSearchParams, selector: LabelSelector | undefined): void {
  if (selector !== undefined) query.set('labelSelector', formatSelector(selector));
}

function withQuery(path: string, query: URLSearchParams): string {
  return query.size === 0 ? path : `${path}?${query}`;
}

const NEWLINE = 0x0a;

/** Cuts a byte stream at newlines; a last line without one was cut off in the middle and is dropped. */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let pending: Uint8Array[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      pending.push(chunk.subarray(start, end));
      const line = Buffer.concat(pending).toString('utf8');
      pending = [];
      start = end + 1;
      if (line !== '') yield line;
    }
    if (start < chunk.length) pending.push(chunk.subarray(start));
  }
}
