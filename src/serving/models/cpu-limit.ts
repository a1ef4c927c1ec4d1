import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/** Without a CPU limit a server shares its node; more threads than this would only wait for each other. */
const MAX_THREADS_WITHOUT_LIMIT = 4;

/**
 * How many threads an operator may use: the container's CPU limit in whole CPUs, at least one. The engine's own default,
 * every core of the host, makes a limited container be throttled.
 * @param root where the cgroup file system is mounted.
 */
export function engineThreads(root = '/sys/fs/cgroup', cores = availableParallelism()): number {
  const limit = cpuLimit(root);
  const allowed = limit === undefined ? Math.min(cores, MAX_THREADS_WITHOUT_LIMIT) : Math.min(cores, Math.floor(limit));
  return Math.max(1, allowed);
}

/** The container's CPU limit in CPUs (cgroup v2, then v1); undefined without one. */
export function cpuLimit(root: string): number | undefined {
  const [quota, period] = read(join(root, 'cpu.max'))?.split(' ') ?? [
    read(join(root, 'cpu', 'cpu.cfs_quota_us')),
    read(join(root, 'cpu', 'cpu.cfs_period_us')),
  ];
  const cpus = Number(quota) / Number(period);
  return Number.isFinite(cpus) && cpus > 0 ? cpus : undefined;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
