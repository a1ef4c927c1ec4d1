/**
 * A cluster with a scheduler that takes pods in any order, and rollouts that do what the planner tells them: the model
 * against which the planner's promises are checked.
 */
import { advise } from '../advise.ts';
import type { PodDemand } from '../pod-demand.ts';
import type { CapacityAdvice, CapacityClaim, CapacityMode, CapacitySnapshot, NodeRoom, PodUse } from '../types.ts';

const TICK_MS = 5_000;
const TICKS_TO_END = 3;
const TICKS_TO_START = 2;

export interface SimulatedRollout {
  readonly name: string;
  readonly startedAtMs: number;
  readonly desired: number;
  readonly floor: number;
  readonly mode: CapacityMode;
  readonly pod: PodDemand;
  /** All new pods are wanted at once, and old ones go when all of the new are ready, as for BlueGreen. */
  readonly isAllAtOnce: boolean;
  /** Ticks in which it holds a step: it wants nothing then. */
  readonly holds: (tick: number) => boolean;
}

interface SimulatedPod {
  readonly name: string;
  readonly rollout: string;
  readonly isNew: boolean;
  readonly pod: PodDemand;
  readonly createdTick: number;
  node: string | undefined;
  placedTick: number;
  endsTick: number | undefined;
}

export interface SimulationOptions {
  readonly nodes: readonly NodeRoom[];
  readonly rollouts: readonly SimulatedRollout[];
  readonly areNodesReadable: boolean;
  /** A number from 0 up to `below`. */
  readonly random: (below: number) => number;
}

export class Simulation {
  readonly #options: SimulationOptions;
  #pods: SimulatedPod[] = [];
  readonly #swapped = new Set<string>();
  #tick = 0;
  #named = 0;
  readonly advice = new Map<string, CapacityAdvice>();

  /** Starts with the old pods of all rollouts running, where they fit. */
  constructor(options: SimulationOptions) {
    this.#options = options;
    for (const rollout of options.rollouts) {
      for (let index = 0; index < rollout.desired; index++) this.#create(rollout, false);
    }
    this.#schedule();
    this.#tick = TICKS_TO_START;
  }

  get tick(): number {
    return this.#tick;
  }

  /** Whether every old pod found a node: only then is the start what it should be. */
  get isStarted(): boolean {
    return this.#pods.every(({ node }) => node !== undefined);
  }

  ready(rollout: SimulatedRollout): number {
    return this.#of(rollout).filter((pod) => this.#isReady(pod)).length;
  }

  isDone(rollout: SimulatedRollout): boolean {
    const pods = this.#of(rollout);
    return pods.length === rollout.desired && pods.every((pod) => pod.isNew && this.#isReady(pod));
  }

  step(): void {
    this.#tick += 1;
    this.#pods = this.#pods.filter(({ endsTick }) => endsTick === undefined || endsTick > this.#tick);
    // Rollouts act one after the other, each on advice of its own moment, while the scheduler goes on between them.
    for (const rollout of this.#shuffled(this.#options.rollouts)) {
      if (this.#options.random(2) === 0) this.#schedule();
      this.#act(rollout);
    }
    this.#schedule();
  }

  snapshot(): CapacitySnapshot {
    const { nodes, areNodesReadable } = this.#options;
    const rooms = nodes.map((node) => ({ ...node, pods: this.#usesOf(node) }));
    return { nodes: areNodesReadable ? rooms : 'unreadable', quotas: [], priorityClasses: [] };
  }

  claim(rollout: SimulatedRollout): CapacityClaim {
    const all = this.#of(rollout);
    const old = all.filter(({ isNew, endsTick }) => !isNew && endsTick === undefined);
    const fresh = all.filter(({ isNew }) => isNew);
    const placed = fresh.filter(({ node }) => node !== undefined);
    const pending = fresh.filter(({ node }) => node === undefined);
    const oldest = Math.min(...pending.map(({ createdTick }) => createdTick));
    const wanted = rollout.holds(this.#tick) ? 0 : rollout.desired - placed.length;
    const refusal = { sinceMs: oldest * TICK_MS, message: '0/9 nodes are available: 9 Insufficient nvidia.com/gpu.' };
    return {
      rollout: `sim/${rollout.name}`,
      startedAtMs: rollout.startedAtMs,
      mode: rollout.mode,
      provisionTimeoutMs: 3 * TICK_MS,
      pod: rollout.pod,
      wanted,
      ...(pending.length > 0 && {
        pending: {
          count: pending.length,
          sinceMs: oldest * TICK_MS,
          ...(oldest < this.#tick && { unschedulable: refusal }),
        },
      }),
      removable: Math.max(0, Math.min(old.length, this.ready(rollout) - rollout.floor)),
      vacant: rollout.desired - old.length - placed.length,
      starting: placed.filter((pod) => !this.#isReady(pod)).length,
      ending: all.filter(({ isNew, endsTick }) => !isNew && endsTick !== undefined).length,
      oldPods: old.map(({ name }) => name),
      isAllOrNothing: rollout.isAllAtOnce,
      isSwapping: this.#swapped.has(rollout.name),
    };
  }

  /** What a scheduler can place of `count` pods beside all that is there: first fit, which is exact for equal pods. */
  couldPlace(pod: PodDemand, count: number): number {
    let placed = 0;
    for (const node of this.#options.nodes) {
      const free = this.#freeOn(node);
      for (; placed < count && fits(pod, free); placed += 1) take(pod, free);
    }
    return placed;
  }

  #act(rollout: SimulatedRollout): void {
    const claims = this.#options.rollouts.map((each) => this.claim(each));
    const own = this.claim(rollout);
    const advice = advise(this.snapshot(), claims, this.#tick * TICK_MS).get(own.rollout);
    if (advice === undefined) throw new Error(`no advice for ${own.rollout}`);
    this.advice.set(rollout.name, advice);
    const fresh = this.#of(rollout).filter(({ isNew }) => isNew);
    const pending = fresh.filter(({ node }) => node === undefined);
    const goal = own.wanted === 0 ? 0 : advice.pods;
    for (let count = pending.length; count < goal; count++) this.#create(rollout, true);
    for (const surplus of pending.slice(goal)) this.#pods = this.#pods.filter((pod) => pod !== surplus);
    if (advice.kind === 'Swap' && own.wanted > 0) {
      this.#swapped.add(rollout.name);
      const old = this.#of(rollout).filter(({ isNew, endsTick }) => !isNew && endsTick === undefined);
      const chosen =
        advice.victims.length > 0 ? old.filter(({ name }) => advice.victims.includes(name)) : this.#shuffled(old);
      for (const pod of chosen.slice(0, advice.remove)) pod.endsTick = this.#tick + TICKS_TO_END;
    }
    this.#retireOld(rollout);
  }

  /** What a rollout does by itself: old pods go as new ones are ready. */
  #retireOld(rollout: SimulatedRollout): void {
    const all = this.#of(rollout);
    const fresh = all.filter((pod) => pod.isNew && this.#isReady(pod)).length;
    const old = all.filter(({ isNew, endsTick }) => !isNew && endsTick === undefined);
    const needed = rollout.isAllAtOnce && fresh < rollout.desired ? old.length : rollout.desired - fresh;
    for (const pod of old.slice(Math.max(0, needed))) pod.endsTick = this.#tick + TICKS_TO_END;
  }

  /** The reference: any order of pods, first fit over any order of nodes. */
  #schedule(): void {
    for (const pod of this.#shuffled(this.#pods.filter(({ node }) => node === undefined))) {
      const node = this.#shuffled(this.#options.nodes).find((each) => fits(pod.pod, this.#freeOn(each)));
      if (node === undefined) continue;
      pod.node = node.name;
      pod.placedTick = this.#tick;
    }
  }

  #create(rollout: SimulatedRollout, isNew: boolean): void {
    this.#named += 1;
    this.#pods.push({
      name: `${rollout.name}-${this.#named}`,
      rollout: rollout.name,
      isNew,
      pod: rollout.pod,
      createdTick: this.#tick,
      node: undefined,
      placedTick: 0,
      endsTick: undefined,
    });
  }

  #isReady({ node, placedTick, endsTick }: SimulatedPod): boolean {
    return node !== undefined && endsTick === undefined && this.#tick >= placedTick + TICKS_TO_START;
  }

  #of({ name }: SimulatedRollout): SimulatedPod[] {
    return this.#pods.filter(({ rollout }) => rollout === name);
  }

  #usesOf({ name }: NodeRoom): PodUse[] {
    const here = this.#pods.filter(({ node }) => node === name);
    return here.map(({ name: pod, pod: { requests }, endsTick }) => ({
      namespace: 'sim',
      name: pod,
      priority: 0,
      requests,
      ...(endsTick !== undefined && { endsAtMs: endsTick * TICK_MS }),
    }));
  }

  #freeOn(node: NodeRoom): Map<string, bigint> {
    const free = new Map(node.allocatable);
    for (const pod of this.#pods) if (pod.node === node.name) take(pod.pod, free);
    return free;
  }

  #shuffled<T>(items: readonly T[]): T[] {
    const left = [...items];
    const shuffled: T[] = [];
    while (left.length > 0) shuffled.push(...left.splice(this.#options.random(left.length), 1));
    return shuffled;
  }
}

const fits = ({ requests }: PodDemand, free: ReadonlyMap<string, bigint>): boolean =>
  [...requests].every(([resource, amount]) => (free.get(resource) ?? 0n) >= amount);

function take({ requests }: PodDemand, free: Map<string, bigint>): void {
  for (const [resource, amount] of requests) free.set(resource, (free.get(resource) ?? 0n) - amount);
}
