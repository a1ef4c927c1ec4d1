import protobuf from 'protobufjs';
import type { ModelInferRequest } from './infer-message-reader.ts';
import { OPEN_INFERENCE_PROTO } from './open-inference-proto.ts';

/** The protocol's messages, but for the request to infer, as protobufjs reads and writes them: 64-bit integers are `Int64`s, `raw` bytes are views. */

/** A 64-bit integer in two halves. */
export interface Int64 {
  readonly low: number;
  readonly high: number;
  readonly unsigned?: boolean;
}

export interface Contents {
  /** As they are written, any number but 0 is true. */
  readonly boolContents?: ArrayLike<boolean | number>;
  readonly intContents?: ArrayLike<number>;
  readonly int64Contents?: ArrayLike<Int64>;
  readonly uintContents?: ArrayLike<number>;
  readonly uint64Contents?: ArrayLike<Int64>;
  readonly fp32Contents?: ArrayLike<number>;
  readonly fp64Contents?: ArrayLike<number>;
  readonly bytesContents?: ArrayLike<Uint8Array>;
}

export interface OutputTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly contents?: Contents;
}

export interface ModelInferResponse {
  readonly modelName: string;
  readonly modelVersion: string | undefined;
  readonly id: string | undefined;
  readonly outputs: readonly OutputTensor[];
  readonly rawOutputContents?: readonly Uint8Array[];
}

export interface ModelName {
  readonly name: string;
  readonly version: string;
}

const { root } = protobuf.parse(OPEN_INFERENCE_PROTO);

/** Reads a message of a type. The reader throws on bytes that are no such message. */
function decoder<T>(name: string): (bytes: Uint8Array) => T {
  const type = root.lookupType(`inference.${name}`);
  return (bytes) => type.decode(bytes) as unknown as T;
}

function encoder<T extends object>(name: string): (message: T) => Buffer {
  const type = root.lookupType(`inference.${name}`);
  return (message) => type.encode(message).finish() as Buffer;
}

export const encodeModelInferResponse = encoder<ModelInferResponse>('ModelInferResponse');
export const decodeModelReadyRequest = decoder<ModelName>('ModelReadyRequest');
export const decodeModelMetadataRequest = decoder<ModelName>('ModelMetadataRequest');
export const encodeModelMetadataResponse = encoder<object>('ModelMetadataResponse');
export const encodeServerMetadataResponse = encoder<object>('ServerMetadataResponse');
export const encodeServerLiveResponse = encoder<{ live: boolean }>('ServerLiveResponse');
export const encodeReadyResponse = encoder<{ ready: boolean }>('ServerReadyResponse');

/** The other ends of the same messages, for clients: tests, the demo and benchmarks. */
export const encodeModelInferRequest = encoder<Partial<Record<keyof ModelInferRequest, unknown>>>('ModelInferRequest');
export const decodeModelInferResponse = decoder<ModelInferResponse>('ModelInferResponse');

export function toBigInt({ low, high, unsigned }: Int64): bigint {
  const upper = unsigned === true ? BigInt(high >>> 0) : BigInt(high | 0);
  return (upper << 32n) | BigInt(low >>> 0);
}

export function fromBigInt(value: bigint): Int64 {
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) };
}
