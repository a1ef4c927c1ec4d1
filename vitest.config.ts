import { defineConfig } from 'vitest/config';

/** What a test waits for takes as long as the machine is slow: vitest's one second would be a timed assertion. */
const expect = { poll: { timeout: 30_000 } };

/** Three kinds of tests, by what they need: nothing, a real kube-apiserver with etcd, a whole cluster with real pods. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'e2e/**/*.unit.test.ts'],
          exclude: ['src/**/*.apiserver.test.ts'],
          setupFiles: ['vitest.properties.ts'],
          expect,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          isolate: false,
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'apiserver',
          include: ['src/**/*.apiserver.test.ts'],
          globalSetup: ['e2e/cluster/vitest-control-plane.ts'],
          expect,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          isolate: false,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/**/*.e2e.test.ts'],
          globalSetup: ['e2e/cluster/vitest-cluster.ts'],
          expect,
          testTimeout: 300_000,
          hookTimeout: 600_000,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
