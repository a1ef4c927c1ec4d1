/** How many more pods the quotas of a namespace admit. */
import { PODS, type PodDemand } from './pod-demand.ts';
import { type Amounts, formatAmount, UNIT } from './quantity.ts';
import type { Quota, QuotaScope } from './types.ts';

export interface QuotaRoom {
  /** Further pods that are admitted. */
  readonly pods: number;
  /** What is in the way of one more; undefined when nothing is. */
  readonly shortfall: string | undefined;
}

const COMPUTE = new Set(['cpu', 'memory', 'ephemeral-storage']);

/** What is left of quotas, less what has been reserved in here. */
export class QuotaLedger {
  readonly #quotas: readonly Quota[];
  readonly #reserved = new Map<Quota, Map<string, bigint>>();

  readonly #defaultClass: string | undefined;

  /** @param defaultClass of pods that name no priority class: admission writes it into them before quotas are asked */
  constructor(quotas: readonly Quota[], defaultClass?: string) {
    this.#quotas = quotas;
    this.#defaultClass = defaultClass;
  }

  /** Room for pods that do not exist yet: those that are Pending are counted in `used` already. */
  room(pod: PodDemand, namespace: string, wanted: number): QuotaRoom {
    const shortfalls: string[] = [];
    let pods = wanted;
    for (const { quota, key, each } of this.#uses(pod, namespace)) {
      const left = this.#left(quota, key);
      if (each === 'unsaid' || each > 0n) {
        const admitted = admittedBy(left, each);
        pods = Math.min(pods, admitted);
        if (admitted === 0) shortfalls.push(`quota ${quota.name} has ${leftText(key, left, hardOf(quota, key))} left`);
      }
    }
    return { pods, shortfall: shortfalls.length === 0 ? undefined : shortfalls.join(', ') };
  }

  /** Whether one more is admitted once so many of the old pods have gone, whichever of them give back the most. */
  hasRoomWithout(old: readonly PodDemand[], count: number, pod: PodDemand, namespace: string): boolean {
    return [...this.#uses(pod, namespace)].every(({ quota, key, each }) => {
      const freed = old.map((one) => (this.#counts(quota, one) ? countedBy(key, one) : undefined) ?? 0n);
      // What a LimitRange has said for it is not known here.
      if (count > 0 && freed.includes('unsaid')) return true;
      const most = freed.filter((amount) => amount !== 'unsaid').sort((a, b) => (a < b ? 1 : -1));
      const left = this.#left(quota, key) + most.slice(0, count).reduce((sum, amount) => sum + amount, 0n);
      return each === 0n || admittedBy(left, each) > 0;
    });
  }

  reserve(pod: PodDemand, namespace: string, count: number): void {
    if (count <= 0) return;
    for (const { quota, key, each } of this.#uses(pod, namespace)) {
      if (each === 'unsaid') continue;
      const reserved = this.#reserved.get(quota) ?? new Map<string, bigint>();
      reserved.set(key, (reserved.get(key) ?? 0n) + each * BigInt(count));
      this.#reserved.set(quota, reserved);
    }
  }

  #left(quota: Quota, key: string): bigint {
    return hardOf(quota, key) - (quota.used.get(key) ?? 0n) - (this.#reserved.get(quota)?.get(key) ?? 0n);
  }

  #counts({ scopes }: Quota, pod: PodDemand): boolean {
    return scopes.every((scope) => isInScope(scope, pod, pod.priorityClassName ?? this.#defaultClass));
  }

  *#uses(pod: PodDemand, namespace: string): Generator<{ quota: Quota; key: string; each: bigint | 'unsaid' }> {
    for (const quota of this.#quotas) {
      if (quota.namespace !== namespace || !this.#counts(quota, pod)) continue;
      for (const key of quota.hard.keys()) {
        const each = countedBy(key, pod);
        if (each !== undefined) yield { quota, key, each };
      }
    }
  }
}

const hardOf = ({ hard }: Quota, key: string): bigint => hard.get(key) ?? 0n;

function leftText(key: string, left: bigint, hard: bigint): string {
  return `${formatAmount(key, left > 0n ? left : 0n)} of ${formatAmount(key, hard)} ${key}`;
}

/** What one pod uses under a key of a quota; undefined when the key is not about pods. */
function countedBy(key: string, { requests, limits }: PodDemand): bigint | 'unsaid' | undefined {
  if (key === PODS || key === 'count/pods') return UNIT;
  if (key.startsWith('hugepages-')) return requests.get(key) ?? 0n;
  if (key.startsWith('limits.')) return said(limits, key.slice('limits.'.length));
  if (key.startsWith('requests.')) {
    const resource = key.slice('requests.'.length);
    if (resource === 'storage') return undefined;
    return COMPUTE.has(resource) ? said(requests, resource) : (requests.get(resource) ?? 0n);
  }
  return COMPUTE.has(key) ? said(requests, key) : undefined;
}

/** As long as anything is left, one pod that does not say what it takes of it: then the API server knows. */
function admittedBy(left: bigint, each: bigint | 'unsaid'): number {
  if (each === 'unsaid') return left > 0n ? 1 : 0;
  return left < each ? 0 : Number(left / each);
}

/**
 * Where a quota is on cpu or memory, the API server refuses pods that leave these out, unless a LimitRange says them for
 * the pod.
 */
function said(amounts: Amounts, resource: string): bigint | 'unsaid' {
  return amounts.get(resource) ?? (resource === 'cpu' || resource === 'memory' ? 'unsaid' : 0n);
}

function isInScope({ name, operator, values }: QuotaScope, pod: PodDemand, priorityClass: string | undefined): boolean {
  switch (name) {
    case 'Terminating':
      return pod.hasDeadline;
    case 'NotTerminating':
      return !pod.hasDeadline;
    case 'BestEffort':
      return isBestEffort(pod);
    case 'NotBestEffort':
      return !isBestEffort(pod);
    case 'PriorityClass':
      return isOfClass(operator, values, priorityClass);
    default:
      // CrossNamespacePodAffinity and what may come: not about pods like ours.
      return false;
  }
}

function isOfClass(operator: QuotaScope['operator'], values: readonly string[], name: string | undefined): boolean {
  if (operator === 'Exists') return name !== undefined;
  if (operator === 'DoesNotExist') return name === undefined;
  const isIn = name !== undefined && values.includes(name);
  return operator === 'In' ? isIn : !isIn;
}

function isBestEffort({ requests, limits }: PodDemand): boolean {
  return !['cpu', 'memory'].some((resource) => (requests.get(resource) ?? limits.get(resource) ?? 0n) > 0n);
}
