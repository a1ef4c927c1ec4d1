/** A model that is known down to its bytes. */
export interface ResolvedModel {
  readonly uri: string;
  readonly sha256: string;
  /** Where a registry knows one. */
  readonly version?: string;
}

/** Where a server's container listens; no grpc where it speaks none. */
export interface ServerPorts {
  readonly http: number;
  readonly grpc?: number;
}

/** Images of Fairlead that new revisions and Jobs run. */
export interface RuntimeImages {
  readonly cpu: string;
  /** For pods with a GPU. */
  readonly cuda: string;
}
