import { describe, expect, test } from 'vitest';
import type { DesiredObject } from '../../runtime/apply.ts';
import { OWNER, revisionOf, specOf } from '../testing/spec.ts';
import { desiredRevisionService, desiredService, speaksGrpc } from './services.ts';

const model = { uri: 's3://models/churn/' };
const builtIn = specOf({ model });
const rest = specOf({
  model,
  runtime: { container: { image: 'x', ports: { http: 8000 }, protocol: 'OpenInference' } },
});
const old = revisionOf('churn-old');
const next = revisionOf('churn-new', { ports: { http: 8000 } });
const idle = { replicas: 0, ready: 0 };

describe('clients may come by gRPC', () => {
  test.each([
    ['as the spec has it before there is a pod', builtIn, [], true],
    ['and not where the spec has none before there is a pod', rest, [], false],
    ['while a revision that speaks it has pods, though the spec wants another that does not', rest, [next, old], true],
    ['no longer once its pods are gone', rest, [next, { ...old, ...idle }], false],
    ['while the last of its pods is still ready', rest, [next, { ...old, replicas: 0, ready: 1 }], true],
    ['not before a pod is asked for that speaks it', builtIn, [{ ...old, ...idle }, next], false],
  ])('%s', (_, spec, revisions, expected) => {
    expect(speaksGrpc(spec, revisions)).toBe(expected);
  });
});

const portsOf = ({ spec }: DesiredObject) =>
  (spec as { ports: { port: number; targetPort: number | string }[] }).ports.map(({ port, targetPort }) => [
    port,
    targetPort,
  ]);

describe('the Service of a ModelDeployment', () => {
  test('finds the port of each pod by its name, which is another number where a rollout changes the runtime', () => {
    expect(portsOf(desiredService(OWNER, { to: 'servers' }, true))).toEqual([
      [80, 'http'],
      [9000, 'grpc'],
    ]);
    expect(portsOf(desiredService(OWNER, { to: 'servers', revision: 'churn-old' }, false))).toEqual([[80, 'http']]);
  });

  test('leads to the ports of the routers that take the route', () => {
    const lead = { to: 'routers', ports: { http: 12_000, grpc: 12_001 } } as const;
    expect(portsOf(desiredService(OWNER, lead, false))).toEqual([
      [80, 12_000],
      [9000, 12_001],
    ]);
  });
});

test('the Service of a revision has the ports of its pods, by which Gateways name it', () => {
  expect(portsOf(desiredRevisionService(OWNER, 'churn-new', { http: 8000 }))).toEqual([[8000, 'http']]);
});
