import { describe, expect, test } from 'vitest';
import { ANNOTATIONS } from '../../../api/names.ts';
import type { Lease } from '../../../runtime/kubernetes-resources.ts';
import type { Pod } from '../../resources.ts';
import { acknowledgementOf, liveRouters } from './acknowledgement.ts';

const NOW_MS = Date.parse('2026-01-01T00:10:00Z');

const router = (name: string, change: { status?: Pod['status']; deletionTimestamp?: string } = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, uid: name, ...(change.deletionTimestamp && { deletionTimestamp: change.deletionTimestamp }) },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], ...change.status },
});

const report = (annotations: Readonly<Record<string, string>>): Lease => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: 'any', annotations },
});
const applies = (routes: object) => report({ [ANNOTATIONS.appliedRoutes]: JSON.stringify(routes) });

const crashed = { containerStatuses: [{ name: 'router', state: { waiting: { reason: 'CrashLoopBackOff' } } }] };

const cases: {
  rule: string;
  pods: Pod[];
  reports?: Readonly<Record<string, Lease>>;
  isComplete: boolean;
  hasReadyRouter?: boolean;
}[] = [
  { rule: 'is complete where no router runs', pods: [], isComplete: true },
  {
    rule: 'is complete when every router applies it',
    pods: [router('a'), router('b')],
    reports: { a: applies({ churn: 7 }), b: applies({ churn: 9 }) },
    isComplete: true,
    hasReadyRouter: true,
  },
  {
    rule: 'waits for the router that applies an older one',
    pods: [router('a'), router('b')],
    reports: { a: applies({ churn: 7 }), b: applies({ churn: 6 }) },
    isComplete: false,
    hasReadyRouter: true,
  },
  { rule: 'waits for a router that has reported nothing', pods: [router('a')], isComplete: false },
  {
    rule: 'waits for a router whose report cannot be read',
    pods: [router('a')],
    reports: { a: report({ [ANNOTATIONS.appliedRoutes]: '{"churn":"7"' }) },
    isComplete: false,
  },
  {
    rule: 'does not wait for a router that has not started',
    pods: [router('a', { status: { phase: 'Pending' } })],
    isComplete: true,
  },
  {
    rule: 'does not wait for a router that has ended',
    pods: [router('a', { status: { phase: 'Failed' } })],
    isComplete: true,
  },
  {
    rule: 'does not wait for a router whose container waits to be started again',
    pods: [router('a', { status: crashed })],
    isComplete: true,
  },
  {
    rule: 'waits for a router that is stopping: it still answers what it has',
    pods: [router('a', { deletionTimestamp: '2026-01-01T00:10:20Z' })],
    isComplete: false,
  },
  {
    rule: 'does not wait for a router that outlasted its end by half a minute: its node is lost',
    pods: [router('a', { deletionTimestamp: '2026-01-01T00:09:29Z' })],
    isComplete: true,
  },
  {
    rule: 'counts a router that is stopping as none that would answer',
    pods: [router('a', { deletionTimestamp: '2026-01-01T00:10:20Z' })],
    reports: { a: applies({ churn: 7 }) },
    isComplete: true,
    hasReadyRouter: false,
  },
];

describe('an acknowledgement', () => {
  test.each(cases)('$rule', ({ pods, reports = {}, isComplete, hasReadyRouter = false }) => {
    const routers = liveRouters(pods, (name) => reports[name], NOW_MS);
    expect(acknowledgementOf(routers, 'churn', 7)).toMatchObject({ isComplete, hasReadyRouter });
  });

  test('says whom it waits for, and why where they say it', () => {
    const reports: Record<string, Lease> = {
      b: report({
        [ANNOTATIONS.appliedRoutes]: '{"churn":6}',
        [ANNOTATIONS.refusedRoutes]: '{"churn":"/backends name revision a twice"}',
      }),
      c: applies({ churn: 5 }),
    };
    const routers = liveRouters([router('c'), router('b'), router('a')], (name) => reports[name], NOW_MS);
    expect(acknowledgementOf(routers, 'churn', 7).waitsFor).toBe(
      '3 of 3 routers have not applied route generation 7 yet: a; b, which refuses it: /backends name revision a twice; c, which applies generation 5',
    );
  });

  test('of a ModelDeployment that is named as what every object has is none', () => {
    const routers = liveRouters([router('a')], () => applies({ churn: 7 }), NOW_MS);
    expect(acknowledgementOf(routers, 'constructor', 7).waitsFor).toMatch(/yet: a$/);
    expect(routers[0]?.applied.constructor).toBeUndefined();
  });
});
