import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from '../../runtime/api-client.ts';
import { ApiError } from '../../runtime/api-error.ts';
import type { KubeObject } from '../../runtime/types.ts';
import { GRPC_ROUTES, HTTP_ROUTES, type ParentRef } from '../modeldeployment/gateway/resources.ts';

export interface PlayedRoute extends KubeObject {
  readonly spec: {
    readonly parentRefs: readonly ParentRef[];
    readonly rules: readonly {
      readonly backendRefs: readonly { readonly name: string; readonly port: number; readonly weight: number }[];
      readonly matches?: readonly unknown[];
      readonly filters?: readonly unknown[];
    }[];
  };
}

/** Why the route is not accepted, as a condition's reason; undefined: it is. */
export type Refuses = (route: PlayedRoute) => string | undefined;

/** Plays the controller of every Gateway of a namespace: looks at routes, and says so in their status. */
export class PlayedGateway {
  /** Whether it looks at routes at all. */
  follows = true;
  refuses: Refuses = () => undefined;
  /** HTTPRoutes as it took them, in order. */
  readonly taken: PlayedRoute[] = [];
  readonly #client: ApiClient;
  readonly #namespace: string;
  readonly #stop = new AbortController();
  readonly #playing: Promise<void>;

  constructor(client: ApiClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
    this.#playing = this.#play();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#playing;
  }

  /** Shares in the last rules of the HTTPRoutes that it took, such as `10/90`, each only where it differs from the one before. */
  get shares(): readonly string[] {
    const all = this.taken.map(({ spec }) =>
      (spec.rules.at(-1)?.backendRefs ?? []).map(({ weight }) => weight).join('/'),
    );
    return all.filter((share, index) => share !== all[index - 1]);
  }

  async #play(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#look().catch((error: unknown) => {
        // The kinds are not installed or come just now, or the route changed meanwhile.
        const passes = error instanceof ApiError && (error.isNotFound || error.isConflict || error.status === 429);
        if (!passes) throw error;
      });
      await delay(15);
    }
  }

  async #look(): Promise<void> {
    if (!this.follows) return;
    for (const resource of [HTTP_ROUTES, GRPC_ROUTES]) {
      const { items } = await this.#client.list(resource, { namespace: this.#namespace });
      for (const route of items as readonly (PlayedRoute & {
        status?: { parents?: readonly { conditions?: readonly { observedGeneration?: number }[] }[] };
      })[]) {
        const observedGeneration = route.metadata.generation ?? 0;
        if (route.status?.parents?.[0]?.conditions?.[0]?.observedGeneration === observedGeneration) continue;
        if (resource === HTTP_ROUTES) this.taken.push(route);
        const refusal = this.refuses(route);
        const said = (type: string, reason?: string) => ({
          type,
          status: reason === undefined ? 'True' : 'False',
          reason: reason ?? type,
          message: reason === undefined ? '' : 'it is played so',
          observedGeneration,
          lastTransitionTime: new Date().toISOString(),
        });
        const conditions = [said('Accepted', refusal), said('ResolvedRefs')];
        const parents = route.spec.parentRefs.map((parentRef) => ({
          parentRef,
          controllerName: 'example.com/played',
          conditions,
        }));
        const { resourceVersion } = route.metadata;
        await this.#client.mergePatch(
          resource,
          route.metadata,
          { metadata: { resourceVersion }, status: { parents } },
          'status',
        );
      }
    }
  }
}
