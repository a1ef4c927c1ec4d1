import { credentials, makeClientConstructor } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { OPEN_INFERENCE_PROTO } from '../../src/serving/grpc/open-inference-proto.ts';

/** A client of the Open Inference Protocol over gRPC, as small as a user's own would be. */

const { root } = protobuf.parse(OPEN_INFERENCE_PROTO, { keepCase: true });
const Request = root.lookupType('inference.ModelInferRequest');
const Response = root.lookupType('inference.ModelInferResponse');

const Client = makeClientConstructor(
  {
    ModelInfer: {
      path: '/inference.GRPCInferenceService/ModelInfer',
      requestStream: false,
      responseStream: false,
      requestSerialize: (value: object) => Buffer.from(Request.encode(Request.fromObject(value)).finish()),
      requestDeserialize: (bytes: Buffer) => Request.decode(bytes),
      responseSerialize: (value: object) => Buffer.from(Response.encode(Response.fromObject(value)).finish()),
      responseDeserialize: (bytes: Buffer) => Response.decode(bytes),
    },
  },
  'GRPCInferenceService',
);

interface InferResult {
  readonly outputs: readonly { readonly name: string }[];
  readonly raw_output_contents: readonly Uint8Array[];
}

/**
 * Sends rows of equal length as one binary FP32 tensor `x` and returns the INT64 output `label` of each row. Throws with
 * the server's status and words when it refuses.
 */
export async function inferByGrpc(
  address: string,
  model: string,
  rows: readonly (readonly number[])[],
): Promise<number[]> {
  const client = new Client(address, credentials.createInsecure());
  const request = {
    model_name: model,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [rows.length, rows[0]?.length ?? 0] }],
    raw_input_contents: [Buffer.from(Float32Array.from(rows.flat()).buffer)],
  };
  try {
    const infer = client.ModelInfer?.bind(client);
    const result = await new Promise<InferResult>((resolve, reject) => {
      infer?.(request, { deadline: Date.now() + 30_000 }, (error: Error | null, response: InferResult) =>
        error === null ? resolve(response) : reject(error),
      );
    });
    const index = result.outputs.findIndex((output) => output.name === 'label');
    const raw = result.raw_output_contents[index];
    if (raw === undefined) throw new Error('the response holds no raw output named label');
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    return rows.map((_, row) => Number(view.getBigInt64(row * 8, true)));
  } finally {
    client.close();
  }
}
