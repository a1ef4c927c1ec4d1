/**
 * The only reader of `process.env`: what the environment says, once, as typed values. Each role compiles its own
 * options from these and its flags.
 */
export interface Environment {
  /** JSON of a `ServingConfig`, for `fairlead server` in a pod. */
  readonly servingConfig: string | undefined;
  /** Where the kubelet reads why a container ended; absent outside a pod. */
  readonly terminationLogPath: string;
  /** What model sources present to hosts and registries; AWS' own variables are read by its library. */
  readonly modelCredentials: {
    readonly httpBearerToken: string | undefined;
    readonly registryUsername: string | undefined;
    readonly registryPassword: string | undefined;
    /** As MLflow's own clients read them. */
    readonly mlflowUsername: string | undefined;
    readonly mlflowPassword: string | undefined;
    readonly mlflowToken: string | undefined;
    /** Where `s3://` is, as said beside credentials: for models whose endpoint is a registry. */
    readonly s3Endpoint: string | undefined;
  };
  /** JSON of a `RegistryConfig`, for `fairlead registry` in a pod. */
  readonly registryConfig: string | undefined;
  readonly podName: string | undefined;
  readonly podNamespace: string | undefined;
  readonly podUid: string | undefined;
  /** Where this pod's cluster has its API server; absent outside a pod. */
  readonly apiServer: { readonly host: string; readonly port: number } | undefined;
}

const { KUBERNETES_SERVICE_HOST: apiHost, KUBERNETES_SERVICE_PORT: apiPort } = process.env;

export const environment: Environment = Object.freeze({
  servingConfig: process.env.FAIRLEAD_SERVER_CONFIG,
  terminationLogPath: process.env.FAIRLEAD_TERMINATION_LOG ?? '/dev/termination-log',
  modelCredentials: Object.freeze({
    httpBearerToken: process.env.FAIRLEAD_HTTP_BEARER_TOKEN,
    registryUsername: process.env.FAIRLEAD_REGISTRY_USERNAME,
    registryPassword: process.env.FAIRLEAD_REGISTRY_PASSWORD,
    mlflowUsername: process.env.MLFLOW_TRACKING_USERNAME,
    mlflowPassword: process.env.MLFLOW_TRACKING_PASSWORD,
    mlflowToken: process.env.MLFLOW_TRACKING_TOKEN,
    s3Endpoint: process.env.MLFLOW_S3_ENDPOINT_URL ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL,
  }),
  registryConfig: process.env.FAIRLEAD_REGISTRY_CONFIG,
  podName: process.env.POD_NAME,
  podNamespace: process.env.POD_NAMESPACE,
  podUid: process.env.POD_UID,
  apiServer: apiHost && apiPort ? Object.freeze({ host: apiHost, port: Number(apiPort) }) : undefined,
});
