/**
 * The only reader of `process.env`: what the environment says, once, as typed values. Each role compiles its own
 * options from these and its flags.
 */
export interface Environment {
  /** JSON of a `ServingConfig`, for `fairlead server` in a pod. */
  readonly servingConfig: string | undefined;
  /** Where the kubelet reads why a container ended; absent outside a pod. */
  readonly terminationLogPath: string;
  readonly podName: string | undefined;
  readonly podNamespace: string | undefined;
}

export const environment: Environment = Object.freeze({
  servingConfig: process.env['FAIRLEAD_SERVER_CONFIG'],
  terminationLogPath: process.env['FAIRLEAD_TERMINATION_LOG'] ?? '/dev/termination-log',
  podName: process.env['POD_NAME'],
  podNamespace: process.env['POD_NAMESPACE'],
});
