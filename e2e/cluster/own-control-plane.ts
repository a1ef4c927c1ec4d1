import { inject } from 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the control planes of project `apiserver`, one for each worker. */
    kubeconfigs: readonly string[];
    /** The path of Fairlead's program as it is shipped. */
    program: string;
  }
}

/**
 * The path of a kubeconfig with all rights on a control plane that the calling test file has to itself while it runs:
 * each worker has one, and runs one file after the other.
 */
export function ownKubeconfig(): string {
  const worker = Number(process.env.VITEST_POOL_ID);
  const kubeconfig = inject('kubeconfigs')[worker - 1];
  if (kubeconfig === undefined) throw new Error(`there is no control plane for worker ${worker}`);
  return kubeconfig;
}
