import { expect, test } from 'vitest';
import { refusalOf } from './refusal.ts';

const NOT_HELPFUL = 'preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.';

test.each([
  ['0/9 nodes are available: 9 Insufficient nvidia.com/gpu.', true, true],
  [
    `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a.b/c: d}. ${NOT_HELPFUL}`,
    true,
    true,
  ],
  [`0/3 nodes are available: 3 Too many pods. no new claims to deallocate, ${NOT_HELPFUL}`, true, true],
  [`0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. ${NOT_HELPFUL}`, true, false],
  ['0/1 nodes are available: 1 node(s) were unschedulable.', true, false],
  [`0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. ${NOT_HELPFUL}`, false, true],
  ["0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports.", false, true],
  ['0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had volume node affinity conflict.', false, true],
  ['0/2 nodes are available: 2 cannot allocate all claims.', false, true],
  ['0/2 nodes are available: persistentvolumeclaim "weights" not found.', false, false],
  ['something new', false, false],
])('%s: counted %s, cured when another pod goes %s', (message, isCounted, isCurable) => {
  expect(refusalOf(message)).toEqual({ isCounted, isCurable });
});
