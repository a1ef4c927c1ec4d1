import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { load } from 'js-yaml';
import { repositoryRoot } from '../../e2e/cluster/paths.ts';
import type { ApiClient, Manifest } from '../../src/runtime/api-client.ts';
import { defineResource, type KubeObject } from '../../src/runtime/types.ts';

interface Definition extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

const DEFINITIONS = defineResource<Definition>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
});

/** Applies the project's definitions and waits until they are served. */
export async function installCrds(client: ApiClient): Promise<void> {
  const directory = join(repositoryRoot, 'crds');
  for (const file of (await readdir(directory)).filter((name) => name.endsWith('.yaml'))) {
    const manifest = load(await readFile(join(directory, file), 'utf8')) as Manifest;
    await client.apply(DEFINITIONS, manifest, true);
    while (!isEstablished(await client.get(DEFINITIONS, manifest.metadata))) await delay(100);
  }
  // Established says that the definition stands; the handlers follow a moment later.
  await delay(1_000);
}

function isEstablished(definition: Definition): boolean {
  return (
    definition.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') === true
  );
}
