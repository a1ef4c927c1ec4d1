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
  return inContext(config, options.context);
}

/**
 * The cluster that a person means, as kubectl finds it: the kubeconfig that is named, else that of KUBECONFIG, else the
 * one in their home, and in it the context that is named, else the current one.
 * @throws Error when the file cannot be read or has no such context.
 */
export function loadUserKubeConfig(options: {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
}): KubeConfig {
  const config = new KubeConfig();
  if (options.kubeconfig !== undefined) config.loadFromFile(options.kubeconfig);
  else config.loadFromDefault();
  return inContext(config, options.context);
}

function inContext(config: KubeConfig, context: string | undefined): KubeConfig {
  if (context === undefined) return config;
  if (config.getContextObject(context) === null) {
    const known = config
      .getContexts()
      .map(({ name }) => name)
      .join(', ');
    throw new Error(`the kubeconfig has no context ${context}; it has: ${known === '' ? 'none' : known}`);
  }
  config.setCurrentContext(context);
  return config;
}
