import { fileURLToPath } from 'node:url';
import { command } from './cluster/command.ts';
import type { Target } from './cluster/target.ts';

export const SYSTEM_NAMESPACE = 'fairlead-system';
const CHART = fileURLToPath(new URL('../charts/fairlead', import.meta.url));

/** Installs or upgrades the operator, with the CRDs, as a user does: by the Helm chart. Nothing changes when it is so already. */
export async function installFairlead(target: Target): Promise<{ readonly image: string }> {
  const image = await target.provideImage();
  const colon = image.lastIndexOf(':');
  await command(target.helmPath, [
    ...['upgrade', '--install', 'fairlead', CHART, '--kubeconfig', target.kubeconfigPath],
    ...['--namespace', SYSTEM_NAMESPACE, '--create-namespace', '--wait', '--timeout', '180s'],
    ...['--set', `image.repository=${image.slice(0, colon)}`, '--set', `image.tag=${image.slice(colon + 1)}`],
  ]);
  return { image };
}
