import { Metadata } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import type { Backend, Route } from '../../api/route.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { GrpcRelay } from './grpc/grpc-relay.ts';
import { GrpcUpstreams } from './grpc/grpc-upstreams.ts';
import { type Protocol, RoutePlan } from './route-plan.ts';
import { GrpcPod, GrpcTestClient } from './testing/grpc-pod.ts';
import { grpcTarget, type TargetUnderTest } from './testing/target-under-test.ts';
import type { Choice, Unroutable } from './types.ts';

const ending: (() => void)[] = [];
afterEach(() => {
  for (const end of ending.splice(0)) end();
});

const backend = (revision: string, weight: number, rest: Partial<Backend> = {}): Backend => ({
  revision,
  weight,
  ports: { http: 8080, grpc: 9000 },
  ...rest,
});

interface PlanOptions {
  readonly protocol?: Protocol;
  readonly random?: () => number;
  /** Revisions without a pod. */
  readonly away?: readonly string[];
  readonly other?: TargetUnderTest;
}

function plan(route: Partial<Route>, { protocol = 'http', random = () => 0, away = [], other }: PlanOptions = {}) {
  const whole: Route = {
    generation: 1,
    modelDeployment: 'churn',
    ports: { http: 10_000 },
    backends: [backend('a', 100)],
    limits: { maxBodyBytes: 1_000, maxQueue: 10, maxInFlight: 10, timeoutMs: 2_000 },
    ...route,
  };
  const targets = new Map(
    whole.backends.map(({ revision }) => [revision, grpcTarget(revision, away.includes(revision) ? [] : [1])]),
  );
  const passedOver: string[] = [];
  const subject = new RoutePlan(whole, protocol, {
    targets,
    random,
    onPassedOver: (revision) => passedOver.push(revision),
    planOf: () => other && { target: () => other, isEnsemble: false },
  });
  return { subject, passedOver, choose: () => told(subject.choose({ get: () => undefined })) };
}

/** A choice by the names of its targets. */
function told(choice: Choice | Unroutable) {
  if ('reason' in choice) return choice.reason;
  return {
    target: choice.target.revision,
    elsewhere: choice.elsewhere.map(({ revision }) => revision),
    mirror: choice.mirror?.target.revision,
    fallback: choice.fallback?.target.revision,
    ensemble: choice.ensemble?.members.map(({ target }) => target.revision),
  };
}

const nothingElse = { elsewhere: [], mirror: undefined, fallback: undefined, ensemble: undefined };

test('elsewhere are the others that have a weight, the heaviest first', () => {
  const backends = [backend('a', 10), backend('b', 30), backend('c', 0), backend('d', 60)];
  expect(plan({ backends }).choose()).toEqual({ ...nothingElse, target: 'a', elsewhere: ['d', 'b'] });
});

test('a choice without fallback, mirror and ensemble is made once', () => {
  const { subject } = plan({});
  const fields = { get: () => undefined };
  expect(subject.choose(fields)).toBe(subject.choose(fields));
});

test.each<[string, number, readonly string[], string | undefined]>([
  ['a share of the requests', 0.0999, [], 'b'],
  ['not the rest of them', 0.1, [], undefined],
  ['nothing while it has no pod', 0, ['b'], undefined],
])('a mirror gets %s', (_, draw, away, mirrored) => {
  const route = {
    backends: [backend('a', 100), backend('b', 0)],
    mirror: { revision: 'b', percent: 10, tolerance: 0 },
  };
  expect(plan(route, { random: () => draw, away }).choose()).toMatchObject({ target: 'a', mirror: mirrored });
});

test('a request that the mirror answers itself is not copied to it', () => {
  const route = { backends: [backend('a', 100)], mirror: { revision: 'a', percent: 100, tolerance: 0 } };
  expect(plan(route).choose()).toMatchObject({ target: 'a', mirror: undefined });
});

test('a fallback is asked also when the revision has no pod at all', () => {
  const route = { backends: [backend('a', 100), backend('b', 0)], fallback: { to: { revision: 'b' } } };
  expect(plan(route, { away: ['a'] }).choose()).toMatchObject({ target: 'a', fallback: 'b' });
});

test('without a pod anywhere there is no choice, and the numbers are said', () => {
  const backends = [backend('a', 90), backend('b', 10)];
  const { choose, passedOver } = plan({ backends }, { away: ['a', 'b'] });
  expect(choose()).toBe('no revision of churn can answer: a (weight 90, 0 ready pods), b (weight 10, 0 ready pods)');
  expect(passedOver).toEqual(['a']);
});

test('gRPC never goes to a revision that speaks none, whatever its weight', () => {
  const backends = [backend('a', 90, { ports: { http: 8080 } }), backend('b', 10)];
  expect(plan({ backends }, { protocol: 'grpc' }).choose()).toEqual({ ...nothingElse, target: 'b' });
  expect(plan({ backends: [backend('a', 100, { ports: { http: 8080 } })] }, { protocol: 'grpc' }).choose()).toBe(
    'no revision of churn can answer: a (weight 100, no grpc)',
  );
});

test('a revision whose pods speak no gRPC is neither mirror nor fallback of gRPC calls', () => {
  const backends = [backend('a', 100), backend('b', 0, { ports: { http: 8080 } })];
  const mirror = { revision: 'b', percent: 100, tolerance: 0 };
  const fallback = { to: { revision: 'b' } };
  expect(plan({ backends, mirror, fallback }).choose()).toMatchObject({ mirror: 'b', fallback: 'b' });
  expect(plan({ backends, mirror, fallback }, { protocol: 'grpc' }).choose()).toEqual({ ...nothingElse, target: 'a' });
});

test('an ensemble has all of its members, or none answers', () => {
  const backends = [backend('a', 0), backend('b', 0)];
  const members = [
    { to: { revision: 'a' }, weight: 1 },
    { to: { modelDeployment: 'fraud' }, weight: 2 },
  ];
  const ensemble = { members, combine: 'Average' as const };
  const other = grpcTarget('fraud-x', [1]);
  expect(plan({ backends, ensemble }, { other }).choose()).toMatchObject({ target: 'a', ensemble: ['a', 'fraud-x'] });
  const away = grpcTarget('fraud-x', []);
  expect(plan({ backends, ensemble }, { other: away }).choose()).toBe(
    'ModelDeployment fraud of the ensemble has no ready pod',
  );
  expect(plan({ backends, ensemble }).choose()).toBe(
    'ModelDeployment fraud of the ensemble has no route: it does not exist, or no router stands before it',
  );
});

test('gRPC calls stick to a revision by their metadata', async () => {
  const names = ['a', 'b'];
  const pods = await Promise.all(names.map((name) => GrpcPod.start(name)));
  const targets = new Map(names.map((name, index) => [name, grpcTarget(name, [pods[index]?.port ?? 0])]));
  const route: Route = {
    generation: 1,
    modelDeployment: 'churn',
    ports: { http: 10_000, grpc: 10_001 },
    backends: names.map((name) => backend(name, 50)),
    sticky: { source: { kind: 'Header', name: 'X-User-Id' }, seed: 'exp1' },
    limits: { maxBodyBytes: 1_000, maxQueue: 10, maxInFlight: 10, timeoutMs: 60_000 },
  };
  const router = new RoutePlan(route, 'grpc', {
    targets,
    random: Math.random,
    onPassedOver: () => undefined,
    planOf: () => undefined,
  });
  const clock = new FakeClock();
  const upstreams = new GrpcUpstreams(clock);
  const relay = new GrpcRelay({ router, upstreams, clock, random: Math.random });
  const client = new GrpcTestClient(await relay.listen('127.0.0.1', 0));
  ending.push(() => {
    client.close();
    relay.kill();
    upstreams.destroy();
    for (const pod of pods) pod.stop();
  });
  const ask = async (user: string) => {
    const metadata = new Metadata();
    metadata.set('x-user-id', user);
    return String(await client.unary(Buffer.from('row'), metadata));
  };
  // Its hash is .3993, in the first half.
  expect(await Promise.all(Array.from({ length: 10 }, () => ask('user-1')))).toEqual(
    Array.from({ length: 10 }, () => 'a'),
  );
  const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => ask(`user-${index}`)));
  expect(new Set(answers)).toEqual(new Set(names));
});
