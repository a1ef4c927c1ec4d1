import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { command } from '../../../e2e/cluster/command.ts';
import { ensureKubernetes } from '../../../e2e/cluster/kubernetes.ts';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { CHART, CONFIG, find, type ManifestObject, parse } from './manifests.ts';

const NAMESPACE = 'fairlead-system';
let helm: (...args: string[]) => Promise<string>;
let kubectl: (...args: string[]) => Promise<string>;
let folder: string;
let render: (...sets: string[]) => Promise<ManifestObject[]>;

beforeAll(async () => {
  const admin = ['--kubeconfig', ownKubeconfig()];
  const programs = await ensureKubernetes();
  helm = (...args) => command(programs('helm'), [...args, ...admin, '-n', NAMESPACE]);
  kubectl = (...args) => command(programs('kubectl'), [...admin, ...args]);
  render = async (...sets) =>
    parse(await helm('template', 'fairlead', CHART, ...sets.flatMap((assignment) => ['--set', assignment])));
  folder = await mkdtemp(join(tmpdir(), 'fairlead-chart-'));
  await kubectl('create', 'namespace', NAMESPACE);
  await kubectl('label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted');
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await kubectl('delete', 'clusterroles', '-l', 'app.kubernetes.io/instance=fairlead');
  await kubectl('delete', 'namespace', NAMESPACE, '--wait=false');
});

const podSpec = (objects: readonly ManifestObject[]) => find(objects, 'Deployment').spec.template.spec;
const operatorArgs = (objects: readonly ManifestObject[]) => podSpec(objects).containers[0]?.args ?? [];

describe('the chart', () => {
  test('has no finding of helm lint', async () => {
    expect(await helm('lint', CHART, '--strict')).toContain('0 chart(s) failed');
  });

  test.each([
    ['replica=3', 'replica'],
    ['replicas=many', 'replicas'],
    ['logLevel=loud', 'logLevel'],
    ['image.digest=sha256:short', 'digest'],
    ['watchNamespaces={A_b}', 'watchNamespaces'],
    ['metrics.serviceMonitor.interval=30', 'interval'],
    ['networkPolicy.prometheusPorts={0}', 'prometheusPorts'],
    ['router.minReplicas=11', 'router.minReplicas (11) must be at most router.maxReplicas (10)'],
  ])('refuses the value %s by name', async (value, field) => {
    await expect(render(value)).rejects.toThrow(field);
  });

  test('runs pods that the Restricted level admits', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'operator', namespace: NAMESPACE },
      spec: podSpec(await render()),
    };
    const { serviceAccountName, ...spec } = pod.spec;
    expect(serviceAccountName).toBe('fairlead');
    const path = join(folder, 'pod.json');
    await writeFile(path, JSON.stringify({ ...pod, spec }));
    await kubectl('create', 'serviceaccount', 'default', '-n', NAMESPACE).catch(() => undefined);
    expect(await kubectl('create', '--dry-run=server', '-f', path)).toContain('pod/operator created');
  });

  test('names images by digest where one is given', async () => {
    const digest = `sha256:${'c'.repeat(64)}`;
    const objects = await render('image.repository=r/fairlead', `image.digest=${digest}`, `cudaImage.digest=${digest}`);
    expect(podSpec(objects).containers[0]?.image).toBe(`r/fairlead@${digest}`);
    expect(operatorArgs(objects)).toContain(`--server-image=r/fairlead@${digest}`);
    expect(operatorArgs(objects)).toContain(`--server-image-cuda=r/fairlead@${digest}`);
  });

  test('takes the CUDA image from beside the CPU image', async () => {
    const args = operatorArgs(await render('image.repository=r/fairlead', 'image.tag=1.2'));
    expect(args).toContain('--server-image=r/fairlead:1.2');
    expect(args).toContain('--server-image-cuda=r/fairlead:1.2-cuda');
  });

  test('lets the operator out to Prometheus at the ports that are named', async () => {
    const egress = async (...sets: string[]) => find(await render(...sets), 'NetworkPolicy').spec;
    const named = { ports: [{ port: 10902, protocol: 'TCP' }] };
    expect(await egress('networkPolicy.prometheusPorts={10902}')).toMatchObject({
      egress: expect.arrayContaining([named]),
    });
    expect(await egress()).toMatchObject({ egress: expect.not.arrayContaining([named]) });
  });

  test('makes a ServiceMonitor only where asked', async () => {
    const kinds = async (...sets: string[]) => (await render(...sets)).map((object) => object.kind);
    expect(await kinds()).not.toContain('ServiceMonitor');
    expect(await kinds('metrics.serviceMonitor.enabled=true', 'metrics.service.enabled=false')).toEqual(
      expect.arrayContaining(['ServiceMonitor', 'Service']),
    );
  });
});

describe('admission policies', () => {
  const POLICY = 'ValidatingAdmissionPolicy';
  const names = (objects: readonly ManifestObject[], kind: string) =>
    objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name);

  test('are those of config/policies, each with its binding', async () => {
    const objects = await render();
    expect(names(objects, POLICY)).toEqual(['fairlead-action', 'fairlead-alias-move']);
    expect(names(objects, `${POLICY}Binding`)).toEqual(names(objects, POLICY));
    for (const policy of ['action', 'alias-move']) {
      const [source] = parse(await readFile(join(CONFIG, `policies/${policy}-policy.yaml`), 'utf8'));
      expect(find(objects, POLICY, policy).spec).toEqual(source?.spec);
    }
  });

  test('name the role of their own release, which is there whoever it is added to', async () => {
    for (const release of ['fairlead', 'ml']) {
      const objects = parse(await helm('template', release, CHART, '--set', 'rbac.aggregate=false'));
      const { metadata } = find(objects, 'ClusterRole', '-promote');
      expect(JSON.stringify(find(objects, POLICY, '-action').spec)).toContain(
        `which the ClusterRole ${metadata.name} gives`,
      );
    }
  });

  test('can be left out', async () => {
    expect(names(await render('admissionPolicies.enabled=false'), POLICY)).toEqual([]);
  });
});

describe('rights', () => {
  test('are those of config/rbac', async () => {
    const source = parse(await readFile(join(CONFIG, 'rbac/operator-role.yaml'), 'utf8'));
    expect(find(await render(), 'ClusterRole', '-operator').rules).toEqual(source[0]?.rules);
  });

  test('reach no Secret and nothing by wildcard', async () => {
    const rules = (await render()).flatMap((object) => object.rules ?? []);
    const words = rules.flatMap(({ apiGroups, resources, verbs }) => [...apiGroups, ...resources, ...verbs]);
    expect(words).not.toContain('*');
    expect(words).not.toContain('secrets');
  });

  test("of people are added to Kubernetes' own roles only where asked", async () => {
    const aggregated = async (...sets: string[]) =>
      (await render(...sets))
        .filter(({ metadata }) => JSON.stringify(metadata.labels ?? {}).includes('aggregate-to-'))
        .map(({ metadata }) => metadata.name);
    expect(await aggregated()).toEqual(['fairlead-view', 'fairlead-edit', 'fairlead-promote']);
    expect(await aggregated('rbac.aggregate=false')).toEqual([]);
  });

  test('are confined to the watched namespaces', async () => {
    const objects = await render('watchNamespaces={shop,bank}', 'rbac.roles=false');
    expect(objects.filter(({ kind }) => kind.startsWith('ClusterRole'))).toEqual([]);
    const roles = objects.filter(({ kind, metadata }) => kind === 'Role' && metadata.name === 'fairlead-operator');
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(['shop', 'bank']);
    expect(operatorArgs(objects)).toContain('--namespaces=shop,bank');
  });
});

test('each release elects its leader by a Lease of its own, and has rights to no other', async () => {
  const leaseOf = async (release: string) => {
    const objects = parse(await helm('template', release, CHART));
    const { rules } = find(objects, 'Role', '-election');
    const flag = operatorArgs(objects).find((arg) => arg.startsWith('--leader-election-name='));
    return { flag, named: rules?.map(({ verbs, resourceNames }) => [verbs, resourceNames]) };
  };
  for (const [release, lease] of [
    ['fairlead', 'fairlead-operator'],
    ['second', 'second-fairlead-operator'],
  ] as const) {
    expect(await leaseOf(release)).toEqual({
      flag: `--leader-election-name=${lease}`,
      named: [
        [['get', 'update'], [lease]],
        // What does not exist yet has no name to hold a right to.
        [['create'], undefined],
      ],
    });
  }
});

test('the chart and config/ install the same operator', async () => {
  const chart = podSpec(await render('crds.install=false'));
  const kustomize = podSpec(parse(await kubectl('kustomize', join(CONFIG, 'default'))));
  const { topologySpreadConstraints: _chart, ...own } = chart;
  const { topologySpreadConstraints: _kustomize, ...other } = kustomize;
  expect(other).toEqual(own);
});

describe('a release on a real API server', () => {
  const definition = 'crd/modeldeployments.fairlead.dev';
  const may = async (...question: string[]) =>
    (
      await kubectl(
        ...['auth', 'can-i', '-n', 'default', ...question],
        `--as=system:serviceaccount:${NAMESPACE}:fairlead`,
      ).catch(() => 'no')
    ).trim();
  const columns = async () => {
    const path = '{.spec.versions[0].additionalPrinterColumns[*].name}';
    return (await kubectl('get', definition, '-o', `jsonpath=${path}`)).split(' ');
  };

  test('installs, also over definitions that were there before', async () => {
    const former = join(folder, 'former');
    await cp(CHART, former, { recursive: true });
    const template = join(former, 'templates/crds/fairlead.dev_modeldeployments.yaml');
    const text = await readFile(template, 'utf8');
    await writeFile(template, text.replace('name: Verdict', 'name: Judgement'));
    await helm('install', 'fairlead', former, '--set', 'replicas=0', '--take-ownership', '--force-conflicts');
    expect(await columns()).toContain('Judgement');
  });

  test('gives the operator what it needs', async () => {
    expect(await may('patch', 'modeldeployments.fairlead.dev', '--subresource=status')).toBe('yes');
    expect(await may('patch', 'deployments.apps')).toBe('yes');
    expect(await may('create', 'events.events.k8s.io')).toBe('yes');
    expect(await may('list', 'events')).toBe('yes');
  });

  test('gives the operator its own lease', async () => {
    const mayRenew = (name: string) => may('update', `leases.coordination.k8s.io/${name}`, '-n', NAMESPACE);
    expect(await mayRenew('fairlead-operator')).toBe('yes');
    expect(await mayRenew('other')).toBe('no');
    expect(await may('create', 'leases.coordination.k8s.io', '-n', NAMESPACE)).toBe('yes');
  });

  test('gives the operator nothing more', async () => {
    expect(await may('get', 'secrets')).toBe('no');
    expect(await may('update', 'modeldeployments.fairlead.dev')).toBe('no');
    expect(await may('update', 'leases.coordination.k8s.io')).toBe('no');
    expect(await may('create', 'pods')).toBe('no');
    expect(await may('watch', 'events')).toBe('no');
  });

  test('upgrades definitions', async () => {
    await helm('upgrade', 'fairlead', CHART, '--set', 'replicas=0');
    expect(await columns()).toContain('Verdict');
    expect(await columns()).not.toContain('Judgement');
  });

  test('leaves definitions, and so all models, when it is uninstalled', async () => {
    await helm('uninstall', 'fairlead');
    expect(await columns()).toContain('Ready');
  });

  test('leaves with the models what their routers and those who ask registries are bound to', async () => {
    const roles = await kubectl('get', 'clusterroles', '-l', 'app.kubernetes.io/instance=fairlead', '-o', 'name');
    expect(
      roles
        .trim()
        .split('\n')
        .map((name) => name.split('/')[1]),
    ).toEqual(['fairlead-registry', 'fairlead-router']);
    expect(find(await render('crds.keep=false'), 'ClusterRole', '-router').metadata.annotations).toBeUndefined();
  });
});
