import { describe, expect, test } from 'vitest';
import { command, compileOptions } from './operator.ts';

const flags: Parameters<typeof compileOptions>[0] = {
  namespaces: [],
  leaderElect: true,
  leaderElectionName: 'fairlead-operator',
  healthPort: 8081,
  metricsPort: 8080,
  serverImage: 'example.dev/fairlead:1',
  routerRole: { kind: 'ClusterRole', name: 'fairlead-router' },
  registryRole: { kind: 'ClusterRole', name: 'fairlead-registry' },
  routerMinReplicas: 2,
  routerMaxReplicas: 10,
  routerCpu: '250m',
  routerMemory: '256Mi',
  logLevel: 'info',
  workers: 8,
  resyncMinutes: 600,
};

describe('operator options', () => {
  test('are frozen, with the defaults that follow from others', () => {
    const options = compileOptions({ ...flags, namespaces: ['b', 'a', 'b'] }, 'fairlead');
    expect(options).toMatchObject({
      namespaces: ['a', 'b'],
      leaderElection: { namespace: 'fairlead', name: 'fairlead-operator' },
      serverImageCuda: 'example.dev/fairlead:1-cuda',
      resyncPeriodMs: 36_000_000,
      routers: { image: 'example.dev/fairlead:1', minReplicas: 2, maxReplicas: 10 },
    });
    expect(Object.isFrozen(options)).toBe(true);
  });

  test('leave out the election when it is switched off', () => {
    expect(compileOptions({ ...flags, leaderElect: false }, undefined).leaderElection).toBeUndefined();
  });

  test.each([
    ['an election without a namespace', {}, undefined, 'leader election needs a namespace'],
    [
      'more routers at least than at most',
      { routerMinReplicas: 11 },
      'fairlead',
      '(11) is above --router-max-replicas (10)',
    ],
    ['two servers on one port', { metricsPort: 8081 }, 'fairlead', 'both 8081'],
  ])('refuse %s', (_title, change, podNamespace, message) => {
    expect(() => compileOptions({ ...flags, ...change }, podNamespace)).toThrow(message);
  });

  test.each([
    ['--namespaces', 'Shop', 'Shop is not a namespace name'],
    ['--leader-election-name', 'My_Lease', 'My_Lease is not a name of an object'],
    ['--router-role', 'fairlead-router', 'neither ClusterRole/NAME nor Role/NAME'],
    ['--router-cpu', 'half', 'not a quantity'],
    ['--workers', '0', 'at least 1'],
    ['--health-port', '70000', 'from 0 to 65535'],
    ['--log-level', 'loud', 'Allowed choices are error, warn, info, debug'],
  ])('the flag %s refuses %s and says what it takes', (flag, value, message) => {
    let told = '';
    const parsed = command
      .exitOverride()
      .configureOutput({ writeErr: (text) => (told += text) })
      .action(() => undefined);
    expect(() => parsed.parse(['--server-image', 'x', flag, value], { from: 'user' })).toThrow();
    expect(told).toContain(message);
  });
});
