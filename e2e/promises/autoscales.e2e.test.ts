import { beforeAll, describe, expect, it } from 'vitest';
import { kubectl, modelDeployment, startModelStore, until, untilReady, useNamespace } from '../environment.ts';

const NAME = 'model';
const HPAS = '/apis/autoscaling/v2';

describe('autoscaling', () => {
  const namespace = useNamespace('e2e-autoscaling');
  // Less than 256Mi has no default target: an idle pod fills most of it.
  const resources = { requests: { cpu: '20m', memory: '256Mi' }, limits: { memory: '512Mi' } };
  let revision: string;

  beforeAll(async () => {
    await startModelStore(namespace);
    await kubectl().apply(modelDeployment(namespace, NAME, { autoscaling: {}, resources }));
    revision = (await untilReady(namespace, NAME)).status.stable.revision;
  });

  it('starts with two pods and a HorizontalPodAutoscaler from 2 to 10 at 70% CPU and 80% memory', async () => {
    const hpa = await kubectl().get('hpa', namespace, revision);
    expect(hpa.spec).toMatchObject({
      minReplicas: 2,
      maxReplicas: 10,
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: revision },
    });
    const targets = hpa.spec.metrics.map(
      (metric: { resource: { name: string; target: { averageUtilization: number } } }) => [
        metric.resource.name,
        metric.resource.target.averageUtilization,
      ],
    );
    expect(new Map(targets)).toEqual(
      new Map([
        ['cpu', 70],
        ['memory', 80],
      ]),
    );
  });

  it('is fed by the real metrics of real pods', async () => {
    await kubectl().until(
      `${HPAS}/namespaces/${namespace}/horizontalpodautoscalers`,
      revision,
      (hpa) => hpa?.status?.currentMetrics?.[0]?.resource?.current?.averageUtilization !== undefined,
      120_000,
    );
  });

  it('leaves the replicas to the autoscaler', async () => {
    // The autoscaler would scale back when it looks next: it is told to leave the count alone.
    const behavior = { scaleDown: { selectPolicy: 'Disabled' }, scaleUp: { selectPolicy: 'Disabled' } };
    await kubectl().patch('hpa', namespace, revision, { spec: { behavior } });
    await kubectl().run(['scale', 'deployment', revision, '-n', namespace, '--replicas=3']);
    await kubectl().patch('md', namespace, NAME, { metadata: { annotations: { touched: 'yes' } } });
    await until(namespace, NAME, ({ status }) => status.readyReplicas === 3);
    const deployment = await kubectl().json(['get', 'deployment', revision, '-n', namespace, '--show-managed-fields']);
    const owners =
      (deployment.metadata as { managedFields?: { manager: string; fieldsV1: object }[] }).managedFields ?? [];
    const owning = owners.filter((entry) => JSON.stringify(entry.fieldsV1).includes('"f:replicas"'));
    expect(owning.map((entry) => entry.manager)).not.toContain('fairlead');
    expect(deployment.spec.replicas).toBe(3);
  });

  it('lets a drain take one pod at a time', async () => {
    const budget = await kubectl().until(
      `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`,
      NAME,
      (pdb) => pdb?.status?.disruptionsAllowed === 1,
      60_000,
    );
    expect(budget?.spec).toMatchObject({ maxUnavailable: 1 });
  });
});
