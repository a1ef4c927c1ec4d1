/** What a load process is told to do, and what it answers: the contract between `load.ts` and its processes. */
export interface LoadJob {
  readonly port: number;
  readonly connections: number;
  /** Not measured: lets both ends get warm. */
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** The bytes of one request, base64: a whole HTTP request, or a gRPC message with its method's path. */
  readonly payload: string;
  readonly path: string;
}

export interface LoadResult {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Collects answers: those within the measured time count. */
export class Meter {
  readonly #latenciesMs: number[] = [];
  #startedAtMs = Number.POSITIVE_INFINITY;

  start(): void {
    this.#startedAtMs = performance.now();
  }

  answered(sentAtMs: number): void {
    const nowMs = performance.now();
    if (nowMs >= this.#startedAtMs) this.#latenciesMs.push(nowMs - sentAtMs);
  }

  result(): LoadResult {
    const sorted = this.#latenciesMs.sort((a, b) => a - b);
    const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
    const elapsedMs = performance.now() - this.#startedAtMs;
    return { requests: sorted.length, elapsedMs, p50Ms: at(0.5), p99Ms: at(0.99) };
  }
}

/** Runs jobs that the parent sends, one at a time: `connect` opens one closed-loop connection and returns how to end it. */
export function answerJobs(connect: (job: LoadJob, payload: Buffer, meter: Meter) => () => void): void {
  process.on('message', (job: LoadJob) => {
    const meter = new Meter();
    const payload = Buffer.from(job.payload, 'base64');
    const ends = Array.from({ length: job.connections }, () => connect(job, payload, meter));
    setTimeout(() => meter.start(), job.warmUpMs);
    setTimeout(() => {
      const result = meter.result();
      for (const end of ends) end();
      process.send?.(result);
    }, job.warmUpMs + job.durationMs);
  });
}
