import { expect, test } from 'vitest';
import type { Route } from '../../../api/route.ts';
import type { ConfigMap } from '../../resources.ts';
import { OWNER } from '../../testing/spec.ts';
import type { ServiceLead } from '../services.ts';
import { desiredRoute, UNUSED_SINCE } from './route.ts';
import { standingSplitter } from './splitter.ts';

const route: Route = {
  generation: 1,
  modelDeployment: 'churn',
  ports: { http: 12_000 },
  backends: [{ revision: 'churn-a', weight: 100, ports: { http: 8080 } }],
  limits: { maxBodyBytes: 1, maxQueue: 0, maxInFlight: 1, timeoutMs: 1 },
};
const written = (reader: 'Router' | 'GatewayAPI') =>
  desiredRoute(OWNER, route, new Map(), reader) as unknown as ConfigMap;
const routers = written('Router');
const unused = { ...routers, metadata: { ...routers.metadata, annotations: { [UNUSED_SINCE]: '1' } } };
const direct: ServiceLead = { to: 'servers', revision: 'churn-a' };

test.each<[string, ServiceLead | undefined, ConfigMap[], string]>([
  ['routers, where the Service leads to them', { to: 'routers', ports: route.ports }, [], 'Router'],
  ['routers, where they are told but not led to yet', direct, [routers], 'Router'],
  ['a Gateway, where it was told', direct, [written('GatewayAPI'), unused], 'GatewayAPI'],
  ['nobody, where no route is wanted any more', { to: 'servers' }, [unused], 'None'],
  ['nobody, where there is no route', undefined, [], 'None'],
])('requests are split by %s', (_, lead, records, expected) => {
  expect(standingSplitter('churn', lead, (name) => records.find(({ metadata }) => metadata.name === name))).toBe(
    expected,
  );
});
