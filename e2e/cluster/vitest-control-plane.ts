import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { command } from './command.ts';
import { startControlPlane } from './control-plane.ts';
import { repositoryRoot } from './paths.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The path of a kubeconfig with all rights on the cluster of this vitest project. */
    kubeconfig: string;
  }
}

/** Global setup of the project `apiserver`: one control plane with the CRDs installed for all of its test files. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const controlPlane = await startControlPlane();
  try {
    await installCrds(controlPlane.programs('kubectl'), controlPlane.kubeconfigPath);
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
  project.provide('kubeconfig', controlPlane.kubeconfigPath);
  return controlPlane.stop;
}

async function installCrds(kubectl: string, kubeconfigPath: string): Promise<void> {
  const directory = join(repositoryRoot, 'crds');
  const files = (await readdir(directory).catch(() => [])).filter((file) => file.endsWith('.yaml'));
  if (files.length === 0) return;
  const flags = ['--kubeconfig', kubeconfigPath];
  const names = files.flatMap((file) => ['-f', join(directory, file)]);
  await command(kubectl, [...flags, 'apply', '--server-side', ...names]);
  await command(kubectl, [...flags, 'wait', '--for=condition=Established', '--timeout=30s', ...names]);
}
