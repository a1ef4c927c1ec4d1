import { expect, test } from 'vitest';
import { acknowledgementOf } from './acknowledgement.ts';
import type { GatewayRoute, RouteCondition } from './resources.ts';
import { SPLIT_GENERATION } from './routes.ts';

const said = (change: Partial<RouteCondition> = {}): RouteCondition => ({
  type: 'Accepted',
  status: 'True',
  reason: 'Accepted',
  message: '',
  observedGeneration: 3,
  ...change,
});
const resolved = said({ type: 'ResolvedRefs', reason: 'ResolvedRefs' });
const parent = (...conditions: RouteCondition[]) => ({ parentRef: { name: 'public' }, conditions });
const route = (parents: NonNullable<GatewayRoute['status']>['parents'], kind = 'HTTPRoute'): GatewayRoute => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind,
  metadata: { name: 'churn', namespace: 'shop', generation: 3, annotations: { [SPLIT_GENERATION]: '7' } },
  spec: { parentRefs: [{ name: 'public' }] },
  ...(parents && { status: { parents } }),
});
const taken = route([parent(said(), resolved)]);

test.each<[string, readonly GatewayRoute[], object]>([
  ['before it is written', [], { kind: 'waiting' }],
  [
    'that no gateway has looked at',
    [route(undefined)],
    { kind: 'waiting', message: 'no gateway has looked at HTTPRoute churn yet; it waits for Gateway public' },
  ],
  ['that is accepted and whose backends are found', [taken], { kind: 'acknowledged', generation: 7 }],
  [
    'that is accepted, but whose backends are not looked for yet',
    [route([parent(said())])],
    { kind: 'waiting', message: 'Gateway public has not taken generation 3 of HTTPRoute churn yet' },
  ],
  [
    'that was accepted as it was before',
    [route([parent(said({ observedGeneration: 2 }), said({ ...resolved, observedGeneration: 2 }))])],
    { kind: 'waiting' },
  ],
  [
    'that was refused as it was before',
    [route([parent(said({ status: 'False', observedGeneration: 2 }), resolved)])],
    { kind: 'waiting' },
  ],
  [
    'that is refused',
    [route([parent(said({ status: 'False', reason: 'NotAllowedByListeners', message: 'no' }), resolved)])],
    { kind: 'refused', message: 'Gateway public refuses HTTPRoute churn (Accepted: NotAllowedByListeners): no' },
  ],
  [
    'whose backends do not exist',
    [route([parent(said(), { ...resolved, status: 'False', reason: 'BackendNotFound', message: 'churn-b' })])],
    { kind: 'refused', message: 'Gateway public refuses HTTPRoute churn (ResolvedRefs: BackendNotFound): churn-b' },
  ],
  [
    'that the gateway which it was taken from still speaks of',
    [route([{ parentRef: { name: 'former' }, conditions: [said({ status: 'False' })] }, parent(said(), resolved)])],
    { kind: 'acknowledged', generation: 7 },
  ],
  ['that one of two controllers has not looked at', [route([parent(said(), resolved), parent()])], { kind: 'waiting' }],
  ['of REST, while that of gRPC waits', [taken, route(undefined, 'GRPCRoute')], { kind: 'waiting' }],
  [
    'of REST that waits, while that of gRPC is refused',
    [route(undefined), route([parent(said({ status: 'False' }), resolved)], 'GRPCRoute')],
    { kind: 'refused' },
  ],
])('a route %s', (_case, routes, acknowledgement) => {
  expect(acknowledgementOf(routes)).toMatchObject(acknowledgement);
});
