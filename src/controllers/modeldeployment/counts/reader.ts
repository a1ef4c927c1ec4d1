import PQueue from 'p-queue';
import Value from 'typebox/value';
import { Agent, request } from 'undici';
import { CountsSnapshot } from '../../../api/counts.ts';
import { PORTS } from '../../../api/names.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { describeError } from '../../../runtime/outcome.ts';

/** A process that counts: a router or a server. */
export interface CountsSource {
  /** The pod's. */
  readonly uid: string;
  readonly name: string;
  readonly address: string;
}

export type CountsReading =
  | { readonly source: CountsSource; readonly snapshot: CountsSnapshot }
  /** Why it could not be read, a sentence for people. */
  | { readonly source: CountsSource; readonly failure: string };

/** Asks for what is at a URL. Rejects when there is no answer in good order. */
export type FetchCounts = (url: string, signal: AbortSignal) => Promise<string>;

export interface CountsReaderOptions {
  readonly fetch: FetchCounts;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Port on which routers and servers tell their counts; `PORTS.metrics` but in tests. */
  readonly port?: number;
  /** How long a source may take to tell them; 2 s. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 2_000;
/** Pods that are read at once, of all ModelDeployments together. */
const CONCURRENCY = 32;
/** What was read this recently serves another ModelDeployment of the namespace, which the same routers serve. */
const FRESH_MS = 500;
/** 256 revisions, each with latencies and predictions, take less. */
export const MAX_COUNTS_BYTES = 4 * 1024 * 1024;

/** Reads what routers and servers have counted. A source that cannot be read is told as such; nothing is thrown. */
export class CountsReader {
  readonly #options: CountsReaderOptions;
  readonly #queue = new PQueue({ concurrency: CONCURRENCY });
  readonly #recent = new Map<string, { readonly atMs: number; readonly reading: Promise<CountsReading> }>();

  constructor(options: CountsReaderOptions) {
    this.#options = options;
  }

  async read(sources: readonly CountsSource[], signal: AbortSignal): Promise<readonly CountsReading[]> {
    const nowMs = this.#options.clock.monotonic();
    for (const [uid, { atMs }] of this.#recent) if (nowMs - atMs >= FRESH_MS) this.#recent.delete(uid);
    return await Promise.all(sources.map((source) => this.#readOnce(source, nowMs, signal)));
  }

  #readOnce(source: CountsSource, atMs: number, signal: AbortSignal): Promise<CountsReading> {
    const known = this.#recent.get(source.uid);
    if (known !== undefined) return known.reading;
    const reading = this.#queue.add(() => this.#readNow(source, signal));
    this.#recent.set(source.uid, { atMs, reading });
    return reading;
  }

  async #readNow(source: CountsSource, signal: AbortSignal): Promise<CountsReading> {
    const { fetch, port = PORTS.metrics.container, timeoutMs = TIMEOUT_MS } = this.#options;
    const host = source.address.includes(':') ? `[${source.address}]` : source.address;
    try {
      const text = await fetch(
        `http://${host}:${port}/counts`,
        AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      );
      return { source, snapshot: parseCounts(text) };
    } catch (error) {
      return { source, failure: `pod ${source.name} did not tell its counts: ${describeError(error)}` };
    }
  }
}

/** @throws Error naming the first field that is not as it should be. */
export function parseCounts(text: string): CountsSnapshot {
  const value: unknown = JSON.parse(text);
  if (Value.Check(CountsSnapshot, value)) return value;
  const [first] = Value.Errors(CountsSnapshot, value);
  throw new Error(`not counts as they should be: ${first?.instancePath ?? ''} ${first?.message ?? ''}`);
}

/** Over HTTP, with a bound on what is taken in. Close it when nothing is read any more. */
export function httpCounts(): { readonly fetch: FetchCounts; close(): Promise<void> } {
  const agent = new Agent({ connections: 1, pipelining: 1, keepAliveTimeout: 30_000, connectTimeout: TIMEOUT_MS });
  return {
    fetch: async (url, signal) => {
      const { statusCode, body } = await request(url, { dispatcher: agent, signal });
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      for await (const chunk of body as AsyncIterable<Buffer>) {
        sizeBytes += chunk.length;
        if (sizeBytes > MAX_COUNTS_BYTES) throw new Error(`more than ${MAX_COUNTS_BYTES} bytes`);
        chunks.push(chunk);
      }
      if (statusCode !== 200) throw new Error(`status ${statusCode}`);
      return Buffer.concat(chunks).toString('utf8');
    },
    close: () => agent.close(),
  };
}
