import fc from 'fast-check';
import { expect, test } from 'vitest';
import { advise } from './advise.ts';
import { availabilityFloor } from './floor.ts';
import { type SimulatedRollout, Simulation } from './testing/simulation.ts';
import { claim, GPU, gpuPod, node, snapshot, uses } from './testing/snapshots.ts';
import type { CapacityMode, NodeRoom } from './types.ts';

const TICKS = 400;

interface Shape {
  readonly desired: readonly number[];
  /** GPUs beyond those that the old pods hold. */
  readonly spare: number;
  readonly perNode: number;
  readonly startedAtMs: readonly number[];
  readonly holdEvery: readonly number[];
  readonly mode: CapacityMode;
  readonly isAllAtOnce: boolean;
  readonly areNodesReadable: boolean;
  readonly seed: number;
}

/** Park and Miller's generator. */
function randomOf(seed: number): (below: number) => number {
  let state = (seed % 2_147_483_646) + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

function simulate(shape: Shape) {
  const total = shape.desired.reduce((sum, each) => sum + each, 0) + shape.spare;
  const nodes: NodeRoom[] = Array.from({ length: Math.ceil(total / shape.perNode) }, (_, index) =>
    node(`node-${index}`, { [GPU]: String(Math.min(shape.perNode, total - index * shape.perNode)) }),
  );
  const rollouts = shape.desired.map(
    (desired, index): SimulatedRollout => ({
      name: `r${index}`,
      startedAtMs: shape.startedAtMs[index] ?? 0,
      desired,
      floor: availabilityFloor(desired, undefined),
      mode: shape.mode,
      pod: gpuPod(1),
      isAllAtOnce: shape.isAllAtOnce,
      holds: (tick) => tick < 200 && tick % 23 < (shape.holdEvery[index] ?? 0),
    }),
  );
  const simulation = new Simulation({
    nodes,
    rollouts,
    areNodesReadable: shape.areNodesReadable,
    random: randomOf(shape.seed),
  });
  return { simulation, rollouts };
}

const shapes = (rest: { [K in keyof Shape]?: fc.Arbitrary<Shape[K]> }): fc.Arbitrary<Shape> =>
  fc.record({
    desired: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 }),
    spare: fc.integer({ min: 0, max: 3 }),
    perNode: fc.constantFrom(1, 2, 8),
    startedAtMs: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 }),
    holdEvery: fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 3, maxLength: 3 }),
    mode: fc.constantFrom<CapacityMode>('Auto', 'Surge', 'Swap'),
    isAllAtOnce: fc.boolean(),
    areNodesReadable: fc.boolean(),
    seed: fc.nat(),
    ...rest,
  });

function expectDone(shape: Shape): void {
  const { simulation, rollouts } = simulate(shape);
  for (let tick = 0; tick < TICKS; tick++) {
    if (rollouts.every((rollout) => simulation.isDone(rollout))) return;
    simulation.step();
  }
  const left = rollouts.filter((rollout) => !simulation.isDone(rollout));
  expect(left.map(({ name }) => [name, simulation.advice.get(name)])).toEqual([]);
}

test('no rollout is ever taken below its floor, whatever the others do', () => {
  const property = fc.property(shapes({}), (shape) => {
    const { simulation, rollouts } = simulate(shape);
    for (let tick = 0; tick < 120; tick++) {
      simulation.step();
      for (const rollout of rollouts) expect(simulation.ready(rollout)).toBeGreaterThanOrEqual(rollout.floor);
    }
  });
  fc.assert(property, { numRuns: 60 });
});

test('what is said to fit does, by a scheduler of another make, for all rollouts at once', () => {
  const property = fc.property(shapes({ areNodesReadable: fc.constant(true) }), (shape) => {
    const { simulation, rollouts } = simulate(shape);
    for (let tick = 0; tick < 60; tick++) {
      simulation.step();
      const claims = rollouts.map((rollout) => simulation.claim(rollout));
      const advice = advise(simulation.snapshot(), claims, simulation.tick * 5_000);
      const fitting = [...advice.values()]
        .filter(({ kind }) => kind === 'Fits')
        .reduce((sum, { pods }) => sum + pods, 0);
      expect(simulation.couldPlace(gpuPod(1), fitting)).toBe(fitting);
    }
  });
  fc.assert(property, { numRuns: 40 });
});

test('rollouts of several pods all end on a full cluster, however many want the same GPUs', () => {
  const several = fc.array(fc.integer({ min: 2, max: 5 }), { minLength: 1, maxLength: 3 });
  const modes = fc.constantFrom<CapacityMode>('Auto', 'Swap');
  const rolling = shapes({ desired: several, mode: modes, isAllAtOnce: fc.constant(false) });
  fc.assert(fc.property(rolling, expectDone), { numRuns: 120 });
});

test('with one GPU to spare rollouts of a single pod end too, one after the other', () => {
  const rolling = shapes({
    spare: fc.integer({ min: 1, max: 2 }),
    mode: fc.constant<CapacityMode>('Auto'),
    isAllAtOnce: fc.constant(false),
  });
  fc.assert(fc.property(rolling, expectDone), { numRuns: 120 });
});

test('rollouts that want all of their pods at once end, one after the other, where one of them fits', () => {
  const blueGreen = shapes({
    desired: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 3 }),
    spare: fc.constant(3),
    holdEvery: fc.constant([]),
    mode: fc.constantFrom<CapacityMode>('Auto', 'Surge'),
    isAllAtOnce: fc.constant(true),
    areNodesReadable: fc.constant(true),
  });
  fc.assert(fc.property(blueGreen, expectDone), { numRuns: 80 });
});

test('more free capacity never makes less fit', () => {
  const property = fc.property(
    fc.array(fc.record({ gpus: fc.integer({ min: 0, max: 8 }), used: fc.integer({ min: 0, max: 8 }) }), {
      maxLength: 5,
    }),
    fc.nat({ max: 4 }),
    fc.integer({ min: 1, max: 3 }),
    (nodes, larger, each) => {
      const fitting = (bonus: number): number => {
        const rooms = nodes.map(({ gpus, used }, index) =>
          node(
            `n${index}`,
            { [GPU]: String(gpus + (index === larger ? bonus : 0)) },
            { pods: uses(`p${index}`, Math.min(gpus, used), gpuPod(1)) },
          ),
        );
        const advice = advise(snapshot(rooms), [claim({ pod: gpuPod(each), wanted: 20 })], 0).get('shop/churn');
        return advice?.kind === 'Fits' ? advice.pods : 0;
      };
      expect(fitting(1)).toBeGreaterThanOrEqual(fitting(0));
    },
  );
  fc.assert(property);
});
