import { fileURLToPath } from 'node:url';
import { command } from './cluster/command.ts';
import type { Target } from './cluster/target.ts';

export const SYSTEM_NAMESPACE = 'fairlead-system';
const CHART = fileURLToPath(new URL('../charts/fairlead', import.meta.url));

/**
 * Installs or upgrades the operator, with the CRDs, as a user does: by the Helm chart. Nothing changes when it is so
 * already. Models that ask for a GPU get the image without CUDA, too: here is none, and they must say so.
 */
export async function installFairlead(target: Target): Promise<{ readonly image: string }> {
  const image = await target.provideImage();
  const colon = image.lastIndexOf(':');
  const [repository, tag] = [image.slice(0, colon), image.slice(colon + 1)];
  await command(target.helmPath, [
    ...['upgrade', '--install', 'fairlead', CHART, '--kubeconfig', target.kubeconfigPath],
    ...['--namespace', SYSTEM_NAMESPACE, '--create-namespace', '--wait', '--timeout', '180s'],
    ...['--set', `image.repository=${repository},image.tag=${tag}`],
    ...['--set', `cudaImage.repository=${repository},cudaImage.tag=${tag}`],
  ]);
  return { image };
}
