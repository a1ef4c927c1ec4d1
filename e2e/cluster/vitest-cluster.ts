import type { TestProject } from 'vitest/node';
import { installFairlead } from '../install.ts';
import { reportToTerminal } from './progress.ts';
import { canRunPods, NEEDS_ROOT, openTarget, targetFromEnvironment } from './target.ts';

/**
 * Global setup of the project `e2e`: a cluster with Fairlead of this checkout installed. A cluster that was up stays up;
 * one that came up for the tests is gone after them.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const options = targetFromEnvironment(process.env);
  if (!canRunPods(options)) throw new Error(NEEDS_ROOT);
  const target = await openTarget(options);
  const leave = async () => {
    if (!target.wasUp) await target.down();
  };
  try {
    reportToTerminal(`installing Fairlead by its chart on ${target.name}`);
    const { image } = await installFairlead(target);
    const { kubeconfigPath, kubectlPath, helmPath } = target;
    project.provide('cluster', { kubeconfigPath, kubectl: kubectlPath, helm: helmPath, image });
  } catch (error) {
    await leave();
    throw error;
  }
  return leave;
}
