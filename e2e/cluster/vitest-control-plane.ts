import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundle } from '../bundle.ts';
import { command } from './command.ts';
import { startControlPlane } from './control-plane.ts';
import { repositoryRoot } from './paths.ts';
import { untilEstablished } from './wait.ts';

/**
 * Global setup of the project `apiserver`: a control plane with the CRDs installed for each of its workers, so that a
 * test file may change what is cluster-wide; and the program as it is shipped, for tests that run it as a process.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const leaving = new AsyncDisposableStack();
  const startPlane = async (): Promise<string> => {
    const plane = await startControlPlane();
    leaving.defer(() => plane.stop());
    await installCrds(plane.programs('kubectl'), plane.kubeconfigPath);
    return plane.kubeconfigPath;
  };
  const makeProgram = async (): Promise<string> => {
    const { program, remove } = await bundle();
    leaving.defer(remove);
    return program;
  };
  const starting = Array.from({ length: Number(project.config.maxWorkers) }, startPlane);
  const making = makeProgram();
  await Promise.allSettled([...starting, making]);
  try {
    project.provide('kubeconfigs', await Promise.all(starting));
    project.provide('program', await making);
  } catch (error) {
    await leaving.disposeAsync();
    throw error;
  }
  return () => leaving.disposeAsync();
}

async function installCrds(kubectl: string, kubeconfigPath: string): Promise<void> {
  const directory = join(repositoryRoot, 'crds');
  const files = (await readdir(directory).catch(() => [])).filter((file) => file.endsWith('.yaml'));
  if (files.length === 0) return;
  const flags = ['--kubeconfig', kubeconfigPath];
  const names = files.flatMap((file) => ['-f', join(directory, file)]);
  await command(kubectl, [...flags, 'apply', '--server-side', ...names]);
  await untilEstablished((...args) => command(kubectl, [...flags, ...args, ...names]));
}
