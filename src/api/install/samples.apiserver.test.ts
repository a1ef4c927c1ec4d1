import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { command } from '../../../e2e/cluster/command.ts';
import { ensureKubernetes } from '../../../e2e/cluster/kubernetes.ts';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { CONFIG } from './manifests.ts';

const NAMESPACE = 'samples';
const folder = join(CONFIG, 'samples');
const samples = (await readdir(folder)).filter((name) => name !== 'kustomization.yaml');
let kubectl: (...args: string[]) => Promise<string>;

beforeAll(async () => {
  const program = (await ensureKubernetes())('kubectl');
  kubectl = (...args) => command(program, ['--kubeconfig', ownKubeconfig(), '-n', NAMESPACE, ...args]);
  await kubectl('create', 'namespace', NAMESPACE);
});
afterAll(() => kubectl('delete', 'namespace', NAMESPACE, '--wait=false'));

test.each(samples)('the sample %s is applied', async (name) => {
  const applied = await kubectl('apply', '--server-side', '--validate=strict', '-f', join(folder, name));
  expect(applied).toContain('modeldeployment.fairlead.dev/');
});

test('client-side apply, which bounds the size of objects, takes the samples too', async () => {
  await kubectl('apply', '-f', join(folder, 'autoscaled.yaml'));
});

test('kustomize knows every sample', async () => {
  const kustomization = load(await readFile(join(folder, 'kustomization.yaml'), 'utf8')) as { resources: string[] };
  expect(kustomization.resources.toSorted()).toEqual(samples.toSorted());
});
