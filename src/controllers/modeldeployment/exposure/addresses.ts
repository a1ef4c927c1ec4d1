/** Where clients outside of the cluster reach a ModelDeployment, as far as it is known. */
export interface Addresses {
  /** URL for REST. */
  readonly http?: string;
  /** Host and port for gRPC. */
  readonly grpc?: string;
}
