import type { WatchEvent } from '../api-client.ts';
import { ApiError } from '../api-error.ts';
import type { ApiRequest, Transport } from '../kube-transport.ts';
import type { KubeObject } from '../types.ts';

/** An API server that lists and tells what a test decides, in the order that it decides. */
export class ScriptedApi implements Transport {
  /** What lists answer, by their path without the query. Other paths are empty collections. */
  readonly lists = new Map<string, { readonly items: readonly KubeObject[]; readonly resourceVersion: string }>();
  /** Paths that this process has no right to. */
  readonly forbidden = new Set<string>();
  /** Paths of kinds that are not installed. */
  readonly missing = new Set<string>();
  readonly #watches = new Map<string, (event: WatchEvent<KubeObject> | Error | undefined) => void>();

  /** Tells the open watch of a path. @throws Error when nobody watches it. */
  tell(path: string, type: WatchEvent<KubeObject>['type'], object: KubeObject): void {
    const push = this.#watches.get(path);
    if (push === undefined) throw new Error(`nobody watches ${path}`);
    push({ type, object });
  }

  /** Ends the open watch of a path, as a server does that restarts; by `error` where the connection to it fails. */
  breakOff(path: string, error?: Error): void {
    this.#watches.get(path)?.(error);
  }

  /** Lists that were asked for. */
  listed = 0;

  async json({ method, path }: ApiRequest): Promise<unknown> {
    this.listed += 1;
    if (method !== 'GET') throw new ApiError(path, 405, { reason: 'MethodNotAllowed' });
    const { items, resourceVersion } = this.lists.get(this.#allowed(path)) ?? { items: [], resourceVersion: '1' };
    return { metadata: { resourceVersion }, items: structuredClone(items) };
  }

  async *stream(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const collection = this.#allowed(path);
    const told: (WatchEvent<KubeObject> | Error | undefined)[] = [];
    let wake = Promise.withResolvers<void>();
    this.#watches.set(collection, (event) => {
      told.push(event);
      wake.resolve();
    });
    signal.addEventListener('abort', () => wake.resolve(), { once: true });
    while (!signal.aborted) {
      await wake.promise;
      wake = Promise.withResolvers<void>();
      for (const event of told.splice(0)) {
        if (event === undefined) return;
        if (event instanceof Error) throw event;
        yield Buffer.from(`${JSON.stringify(event)}\n`);
      }
    }
  }

  async close(): Promise<void> {}

  #allowed(pathAndQuery: string): string {
    const path = pathAndQuery.replace(/\?.*/, '');
    if (this.forbidden.has(path)) throw new ApiError(`GET ${path}`, 403, { reason: 'Forbidden', message: 'no right' });
    if (this.missing.has(path)) throw new ApiError(`GET ${path}`, 404, { reason: 'NotFound', message: 'no such kind' });
    return path;
  }
}
