import type { V1PodSpec } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { podDemand } from './pod-demand.ts';
import { formatAmount } from './quantity.ts';
import { container, GPU } from './testing/snapshots.ts';

const written = (spec: V1PodSpec) =>
  Object.fromEntries([...podDemand(spec).requests].map(([name, amount]) => [name, formatAmount(name, amount)]));

const sidecar = (cpu: string) => ({ name: 'sidecar', restartPolicy: 'Always', resources: { requests: { cpu } } });
const first = (cpu: string) => ({ name: 'first', resources: { requests: { cpu } } });

describe('what a pod takes of a node', () => {
  test.each<[string, V1PodSpec, Record<string, string>]>([
    ['nothing said: a place among the pods', { containers: [{ name: 'server' }] }, {}],
    [
      'the sum over its containers',
      { containers: [container({ cpu: '1' }), container({ cpu: '500m' })] },
      { cpu: '1.5' },
    ],
    ['limits where nothing is requested', { containers: [container({ [GPU]: '2' })] }, { [GPU]: '2' }],
    ['requests before limits', { containers: [container({ cpu: '4' }, { cpu: '1' })] }, { cpu: '1' }],
    [
      'an init container that takes more than what runs later',
      { initContainers: [first('3')], containers: [container({ cpu: '1' })] },
      { cpu: '3' },
    ],
    [
      'an init container that takes less adds nothing',
      { initContainers: [first('1')], containers: [container({ cpu: '2' })] },
      { cpu: '2' },
    ],
    [
      'a sidecar beside what runs',
      { initContainers: [sidecar('1')], containers: [container({ cpu: '2' })] },
      { cpu: '3' },
    ],
    [
      'a sidecar beside the init container that starts after it',
      { initContainers: [sidecar('1'), first('5')], containers: [container({ cpu: '2' })] },
      { cpu: '6' },
    ],
    [
      'but not beside one that started before it',
      { initContainers: [first('5'), sidecar('1')], containers: [container({ cpu: '2' })] },
      { cpu: '5' },
    ],
    ['its overhead', { containers: [container({ cpu: '1' })], overhead: { cpu: '250m' } }, { cpu: '1.25' }],
    [
      'what is said of the whole pod in place of the sum',
      { containers: [container({ cpu: '1' })], resources: { requests: { cpu: '3' } } },
      { cpu: '3' },
    ],
    ['whole thousandths of a core', { containers: [container({ cpu: '0.1m' })] }, { cpu: '1m' }],
    ['whole bytes', { containers: [container({ memory: '1500m' })] }, { memory: '2' }],
  ])('%s', (_title, spec, expected) => {
    expect(written(spec)).toEqual({ ...expected, pods: '1' });
  });
});

describe('where counting room would not tell', () => {
  const containers = [container({ cpu: '1' })];
  const term = { topologyKey: 'kubernetes.io/hostname' };
  test.each<[string, Partial<V1PodSpec>]>([
    ['resource claims', { resourceClaims: [{ name: 'gpu' }] }],
    ['another scheduler', { schedulerName: 'volcano' }],
    [
      'required pod anti-affinity',
      { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } },
    ],
    ['a required spread', { topologySpreadConstraints: [{ ...term, maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' }] }],
  ])('%s', (_title, spec) => {
    expect(podDemand({ containers, ...spec }).uncounted).toBeDefined();
  });

  test.each<[string, Partial<V1PodSpec>]>([
    ['the default scheduler', { schedulerName: 'default-scheduler' }],
    [
      'a spread that is only preferred, as ours is',
      { topologySpreadConstraints: [{ ...term, maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' }] },
    ],
  ])('not with %s', (_title, spec) => {
    expect(podDemand({ containers, ...spec }).uncounted).toBeUndefined();
  });
});
