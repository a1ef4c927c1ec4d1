import type { PodDemand } from './pod-demand.ts';
import type { Amounts } from './quantity.ts';
import type { NodeRoom, PodUse } from './types.ts';

/** How long after its grace a pod that ends may still be counted on: after that its node is probably lost. */
export const ENDING_SLACK_MS = 60_000;

interface Account {
  readonly now: Amounts;
  /** With what pods that are ending will give back. */
  readonly soon: Amounts;
}

/** Where a pod is to have room: beside everything that is there, or beside what will be left of it soon. */
export type When = 'now' | 'soon';

/**
 * What is free on each node, less what has been reserved in here. A reservation of what will be free soon also keeps
 * others from what is free now.
 */
export class Ledger {
  readonly #nowMs: number;
  /** Nodes as they were read; shared by all ledgers of one snapshot. */
  readonly #read: Map<string, Account>;
  readonly #changed = new Map<string, Account>();

  constructor(nowMs: number, read: Map<string, Account> = new Map()) {
    this.#nowMs = nowMs;
    this.#read = read;
  }

  /** One without any reservation. */
  fresh(): Ledger {
    return new Ledger(this.#nowMs, this.#read);
  }

  /** What is free on a node whose pods were read. */
  free(node: NodeRoom, resource: string, when: When): bigint {
    const { now, soon } = this.#account(node);
    const later = soon.get(resource) ?? 0n;
    if (when === 'soon') return later;
    const present = now.get(resource) ?? 0n;
    return present < later ? present : later;
  }

  hasRoom(node: NodeRoom, { requests }: PodDemand, when: When): boolean {
    for (const [resource, amount] of requests) {
      if (amount > 0n && this.free(node, resource, when) < amount) return false;
    }
    return true;
  }

  /** Reserves up to `count` pods on the nodes, first fit. Answers how many. */
  reserve(nodes: readonly NodeRoom[], pod: PodDemand, count: number, when: When): number {
    let reserved = 0;
    for (const node of nodes) {
      while (reserved < count && this.hasRoom(node, pod, when)) {
        this.#take(node, pod.requests, -1n, when);
        reserved += 1;
      }
      if (reserved >= count) break;
    }
    return reserved;
  }

  /** As if the pod were gone soon. */
  release(node: NodeRoom, pod: PodUse): void {
    if (!this.#isEnding(pod)) this.#take(node, pod.requests, 1n, 'soon');
  }

  /** A copy for this node, to try what would be. */
  fork(node: NodeRoom): Ledger {
    const fork = this.fresh();
    fork.#changed.set(node.name, this.#account(node));
    return fork;
  }

  #take(node: NodeRoom, amounts: Amounts, sign: 1n | -1n, when: When): void {
    const { now, soon } = this.#account(node);
    this.#changed.set(node.name, {
      now: when === 'now' ? plus(now, amounts, sign) : now,
      soon: plus(soon, amounts, sign),
    });
  }

  #account(node: NodeRoom): Account {
    const known = this.#changed.get(node.name) ?? this.#read.get(node.name);
    if (known !== undefined) return known;
    const now = new Map(node.allocatable);
    const soon = new Map(node.allocatable);
    for (const pod of node.pods ?? []) {
      for (const [resource, amount] of pod.requests) {
        now.set(resource, (now.get(resource) ?? 0n) - amount);
        if (!this.#isEnding(pod)) soon.set(resource, (soon.get(resource) ?? 0n) - amount);
      }
    }
    const account = { now, soon };
    this.#read.set(node.name, account);
    return account;
  }

  #isEnding({ endsAtMs }: PodUse): boolean {
    return endsAtMs !== undefined && this.#nowMs < endsAtMs + ENDING_SLACK_MS;
  }
}

function plus(account: Amounts, amounts: Amounts, sign: 1n | -1n): Amounts {
  const sum = new Map(account);
  for (const [resource, amount] of amounts) sum.set(resource, (sum.get(resource) ?? 0n) + sign * amount);
  return sum;
}
