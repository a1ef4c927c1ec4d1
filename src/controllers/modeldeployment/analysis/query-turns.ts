import PQueue from 'p-queue';

/**
 * Queries that are under way at once: a server is not asked more than it bears, and one that does not answer holds up nobody
 * else, neither other namespaces nor those who ask other servers.
 */
export const QUERIES_AT_ONCE = { ofNamespace: 8, toServer: 16, all: 64 } as const;

interface Lane {
  readonly name: string;
  readonly atOnce: number;
}

/** Has queries wait for their turn. */
export class QueryTurns {
  readonly #queues = new Map<string, PQueue>();

  /**
   * Runs `ask` when it is its turn.
   * @param address URL of the server
   * @throws what `ask` throws, and the signal's reason where it aborts
   */
  async run<T>(
    { namespace, address }: { readonly namespace: string; readonly address: string },
    ask: () => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const server = URL.parse(address)?.origin ?? address;
    // The namespace comes first: its queries that wait must not stand in the way of others at the same server.
    const lanes: readonly Lane[] = [
      { name: `namespace ${namespace}`, atOnce: QUERIES_AT_ONCE.ofNamespace },
      { name: `server ${server}`, atOnce: QUERIES_AT_ONCE.toServer },
      { name: 'all', atOnce: QUERIES_AT_ONCE.all },
    ];
    const nested = lanes.reduceRight<() => Promise<T>>((inner, lane) => () => this.#in(lane, inner, signal), ask);
    return await nested();
  }

  async #in<T>({ name, atOnce }: Lane, task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const queue = this.#queues.get(name) ?? new PQueue({ concurrency: atOnce });
    this.#queues.set(name, queue);
    try {
      return await queue.add(task, { signal });
    } finally {
      if (queue.size === 0 && queue.pending === 0) this.#queues.delete(name);
    }
  }
}
