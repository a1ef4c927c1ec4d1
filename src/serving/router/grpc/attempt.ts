import type { ClientHttp2Stream } from 'node:http2';
import type { Endpoint, EndpointResult, Target } from '../types.ts';
import { GRPC_STATUS } from './grpc-status.ts';
import type { Upstream } from './grpc-upstreams.ts';

/** One try to have a call answered by one pod. */
export interface Attempt {
  readonly target: Target;
  readonly endpoint: Endpoint;
  readonly upstream: Upstream;
  readonly stream: ClientHttp2Stream;
  /** The request's bytes as this target is sent them. */
  readonly worded: (chunk: Buffer) => Buffer;
}

/** What a status says of the pod that gave it. */
export function resultOf(status: number): EndpointResult {
  return status === GRPC_STATUS.unavailable ? 'failed' : 'ok';
}
