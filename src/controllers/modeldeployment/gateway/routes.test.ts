import { describe, expect, test } from 'vitest';
import type { Route } from '../../../api/route.ts';
import { OWNER } from '../../testing/spec.ts';
import { desiredGrpcRoute, desiredHttpRoute, SPLIT_GENERATION } from './routes.ts';
import { splitOfRoute, splitToService } from './split.ts';

const ports = { http: 8080, grpc: 9000 };
const route = (change: Partial<Route> = {}): Route => ({
  generation: 7,
  modelDeployment: 'churn',
  ports: { http: 10_000 },
  backends: [
    { revision: 'churn-b', weight: 10, ports },
    { revision: 'churn-a', weight: 90, ports },
  ],
  limits: { maxBodyBytes: 1, maxQueue: 1, maxInFlight: 1, timeoutMs: 1 },
  ...change,
});
const rulesOf = (change: Partial<Route> = {}) => {
  const { spec } = desiredHttpRoute(OWNER, { name: 'public' }, splitOfRoute(route(change)));
  return (spec as { rules: unknown[] }).rules;
};
const canary = { name: 'churn-b', port: 8080 };
const stable = { name: 'churn-a', port: 8080 };
const shares = [
  { ...canary, weight: 10 },
  { ...stable, weight: 90 },
];

describe('the rules of an HTTPRoute', () => {
  test.each<[string, Partial<Route>, unknown[]]>([
    ['share by weight', {}, [{ backendRefs: shares }]],
    [
      'name no revision whose weight is 0, which may have no pods',
      {
        backends: [
          { revision: 'churn-b', weight: 0, ports },
          { revision: 'churn-a', weight: 100, ports },
        ],
      },
      [{ backendRefs: [{ ...stable, weight: 1 }] }],
    ],
    [
      'match headers before they share, in the order in which they are given',
      {
        match: [
          { name: 'x-tester', value: 'yes', revision: 'churn-b' },
          { name: 'x-old', value: '1', revision: 'churn-a' },
        ],
      },
      [
        {
          matches: [{ headers: [{ type: 'Exact', name: 'x-tester', value: 'yes' }] }],
          backendRefs: [{ ...canary, weight: 1 }],
        },
        {
          matches: [{ headers: [{ type: 'Exact', name: 'x-old', value: '1' }] }],
          backendRefs: [{ ...stable, weight: 1 }],
        },
        { backendRefs: shares },
      ],
    ],
    [
      'answer only what matches where all weights are 0',
      {
        backends: [{ revision: 'churn-b', weight: 0, ports }],
        match: [{ name: 'x-tester', value: 'yes', revision: 'churn-b' }],
      },
      [
        {
          matches: [{ headers: [{ type: 'Exact', name: 'x-tester', value: 'yes' }] }],
          backendRefs: [{ ...canary, weight: 1 }],
        },
      ],
    ],
    [
      'copy a share of the requests, but none to whom answers it anyway',
      {
        backends: [
          { revision: 'churn-b', weight: 0, ports },
          { revision: 'churn-a', weight: 100, ports },
        ],
        match: [{ name: 'x-tester', value: 'yes', revision: 'churn-b' }],
        mirror: { revision: 'churn-b', percent: 10, tolerance: 0 },
      },
      [
        {
          matches: [{ headers: [{ type: 'Exact', name: 'x-tester', value: 'yes' }] }],
          backendRefs: [{ ...canary, weight: 1 }],
        },
        {
          filters: [{ type: 'RequestMirror', requestMirror: { backendRef: canary, percent: 10 } }],
          backendRefs: [{ ...stable, weight: 1 }],
        },
      ],
    ],
  ])('%s', (_rule, change, rules) => {
    expect(rulesOf(change)).toEqual(rules);
  });

  test('lead to each revision at its own port', () => {
    const backends = [
      { revision: 'churn-b', weight: 10, ports: { http: 8000 } },
      { revision: 'churn-a', weight: 90, ports },
    ];
    expect(rulesOf({ backends })).toEqual([{ backendRefs: [{ ...shares[0], port: 8000 }, shares[1]] }]);
  });

  test.each([
    [100, {}],
    [1, { percent: 1 }],
    [0.5, { fraction: { numerator: 500, denominator: 100_000 } }],
    [0.0001, { fraction: { numerator: 1, denominator: 100_000 } }],
  ])('copy %d%% of the requests in the words that most gateways understand', (percent, said) => {
    const backends = [
      { revision: 'churn-b', weight: 0, ports },
      { revision: 'churn-a', weight: 100, ports },
    ];
    expect(rulesOf({ backends, mirror: { revision: 'churn-b', percent, tolerance: 0 } })).toMatchObject([
      { filters: [{ requestMirror: { backendRef: canary, ...said } }] },
    ]);
  });

  test('never name a revision that is none of the backends', () => {
    expect(() => rulesOf({ match: [{ name: 'x', value: '1', revision: 'gone' }] })).toThrow(RangeError);
  });
});

test('a route is attached where the user says, and says which generation of the split it carries', () => {
  const gateway = { name: 'public', namespace: 'infra', sectionName: 'https', hostnames: ['churn.example.com'] };
  const { metadata, spec } = desiredHttpRoute(OWNER, gateway, splitOfRoute(route()));
  expect(metadata).toMatchObject({ name: 'churn', namespace: 'shop', annotations: { [SPLIT_GENERATION]: '7' } });
  expect(spec).toMatchObject({
    parentRefs: [{ name: 'public', namespace: 'infra', sectionName: 'https' }],
    hostnames: ['churn.example.com'],
  });
});

describe('a GRPCRoute', () => {
  const grpc = { sectionName: 'grpc' };

  test('shares as the HTTPRoute does, on the ports and at the listener of gRPC', () => {
    const desired = desiredGrpcRoute(OWNER, { name: 'public', sectionName: 'http', grpc }, splitOfRoute(route()));
    expect(desired?.spec).toEqual({
      parentRefs: [{ name: 'public', sectionName: 'grpc' }],
      rules: [
        {
          backendRefs: [
            { name: 'churn-b', port: 9000, weight: 10 },
            { name: 'churn-a', port: 9000, weight: 90 },
          ],
        },
      ],
    });
  });

  test('leads only to the revisions that speak it, where a rollout changes that', () => {
    const backends = [
      { revision: 'churn-b', weight: 10, ports: { http: 8000 } },
      { revision: 'churn-a', weight: 90, ports },
    ];
    const change = {
      backends,
      match: [{ name: 'x-tester', value: 'yes', revision: 'churn-b' }],
      mirror: { revision: 'churn-b', percent: 10, tolerance: 0 },
    };
    const desired = desiredGrpcRoute(OWNER, { name: 'public', grpc }, splitOfRoute(route(change)));
    expect(desired?.spec).toMatchObject({ rules: [{ backendRefs: [{ name: 'churn-a', port: 9000, weight: 1 }] }] });
    expect(JSON.stringify(desired?.spec)).not.toContain('churn-b');
  });

  test('is not there while no revision that speaks it has a share', () => {
    const backends = [
      { revision: 'churn-b', weight: 0, ports },
      { revision: 'churn-a', weight: 100, ports: { http: 8000 } },
    ];
    expect(desiredGrpcRoute(OWNER, { name: 'public', grpc }, splitOfRoute(route({ backends })))).toBeUndefined();
  });

  test.each([
    ['the user gives it no place', { name: 'public' }, true],
    ['the pods speak no gRPC', { name: 'public', grpc }, false],
  ])('is not there where %s', (_title, gateway, hasGrpc) => {
    expect(desiredGrpcRoute(OWNER, gateway, splitToService('churn', hasGrpc))).toBeUndefined();
  });
});

test('with routers behind it a gateway leads to the Service alone', () => {
  const { spec } = desiredHttpRoute(OWNER, { name: 'public' }, splitToService('churn', true));
  expect(spec).toMatchObject({ rules: [{ backendRefs: [{ name: 'churn', port: 80, weight: 1 }] }] });
});
