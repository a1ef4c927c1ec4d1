import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Child } from '../../e2e/cluster/child.ts';
import { freePorts } from '../../e2e/cluster/free-port.ts';
import { waitFor } from '../../e2e/cluster/wait.ts';
import { HEAP_FLAGS } from '../heap-flags.ts';
import type { KwokCluster } from './kwok-cluster.ts';

/** How often the running operator looks at everything again. */
export const RESYNC_MINUTES = 1;

/** A running operator, seen from outside. */
export class OperatorProcess {
  readonly #child: Child;
  readonly #metricsPort: number;

  private constructor(child: Child, metricsPort: number) {
    this.#child = child;
    this.#metricsPort = metricsPort;
  }

  /** Starts `program` and waits until it has its caches and leads. */
  static async start(program: string, cluster: KwokCluster, workers: number): Promise<OperatorProcess> {
    const [health = 0, metrics = 0] = await freePorts(2);
    const args = [
      ...['operator', '--kubeconfig', cluster.kubeconfigPath, '--leader-election-namespace', 'default'],
      ...['--health-port', String(health), '--metrics-port', String(metrics), '--workers', String(workers)],
      ...[
        '--resync-minutes',
        String(RESYNC_MINUTES),
        '--server-image',
        'example.dev/fairlead:bench',
        '--log-level',
        'warn',
      ],
    ];
    const child = Child.start(
      'operator',
      process.execPath,
      [...HEAP_FLAGS, program, ...args],
      join(cluster.directory, 'operator.log'),
    );
    const operator = new OperatorProcess(child, metrics);
    const leads = waitFor(
      'the operator to lead',
      async () => (await operator.#sum('leader_election_master_status')) === 1 || 'no',
      {
        timeoutMs: 60_000,
      },
    );
    await Promise.race([leads, child.failure()]);
    return operator;
  }

  /** Memory in bytes: resident now and at its highest, and the heap that is in use, garbage included. */
  async memory(): Promise<{ readonly residentBytes: number; readonly peakBytes: number; readonly heapBytes: number }> {
    // setpriv replaced itself by the program: it is the same process.
    const status = await readFile(`/proc/${this.#child.pid}/status`, 'utf8');
    const bytes = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) * 1024;
    const heapBytes = await this.#sum('nodejs_heap_size_used_bytes');
    return { residentBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM'), heapBytes };
  }

  /** Processor time used so far, in seconds. */
  async cpuSeconds(): Promise<number> {
    return await this.#sum('process_cpu_seconds_total');
  }

  /** Requests to the API server so far by verb, without watches. The lease alone is written by PUT. */
  async requests(): Promise<{ readonly reads: number; readonly writes: number; readonly lease: number }> {
    const [reads = 0, lease = 0, ...writes] = await Promise.all(
      ['GET', 'PUT', 'POST', 'PATCH', 'DELETE'].map((method) =>
        this.#sum(`rest_client_requests_total`, `method="${method}"`),
      ),
    );
    return { reads, lease, writes: writes.reduce((sum, count) => sum + count, 0) };
  }

  async reconciles(): Promise<number> {
    return await this.#sum('controller_runtime_reconcile_total');
  }

  /** Waits until for `quietMs` nothing was reconciled and nothing was written; Events follow what they tell of. */
  async atRest(quietMs: number): Promise<void> {
    const done = async (): Promise<number> => (await this.reconciles()) + (await this.requests()).writes;
    for (let before = -1, now = await done(); now !== before; ) {
      before = now;
      await delay(quietMs);
      now = await done();
    }
  }

  /** Rejects when the operator ends by itself, as one does that loses its lease on a machine that is too busy. */
  async ended(): Promise<never> {
    return await this.#child.failure();
  }

  async stop(): Promise<void> {
    await this.#child.stop('SIGTERM', 15_000);
  }

  async #sum(name: string, label = ''): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.#metricsPort}/metrics`);
    const lines = (await response.text()).split('\n').filter((line) => line.startsWith(name) && line.includes(label));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
}
