import { existsSync } from 'node:fs';
import { KubeConfig } from '@kubernetes/client-node';

const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * The cluster to work on: the one of a kubeconfig file, of a named context in the user's own kubeconfig, or the one
 * this pod runs in. A kubeconfig is never used only because it is there.
 * @throws Error when none is named and this is no pod, or when the context does not exist.
 */
export function loadKubeConfig(options: {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
}): KubeConfig {
  const config = new KubeConfig();
  if (options.kubeconfig !== undefined) config.loadFromFile(options.kubeconfig);
  else if (options.context !== undefined) config.loadFromDefault();
  else if (existsSync(SERVICE_ACCOUNT_TOKEN)) config.loadFromCluster();
  else throw new Error('this is no pod of a cluster: name one with --kubeconfig FILE or --context NAME');
  if (options.context !== undefined) {
    if (config.getContextObject(options.context) === null) {
      const known = config
        .getContexts()
        .map((context) => context.name)
        .join(', ');
      throw new Error(`the kubeconfig has no context ${options.context}; it has: ${known === '' ? 'none' : known}`);
    }
    config.setCurrentContext(options.context);
  }
  return config;
}
