import { encodeModelInferRequest } from '../../src/serving/grpc/messages.ts';

/** Requests as bytes, each the same every time. */

const values = (count: number): number[] => Array.from({ length: count }, (_, index) => ((index * 137) % 10_000) / 100);

function post(path: string, body: Buffer, headers: readonly string[] = []): Buffer {
  const head = [`POST ${path} HTTP/1.1`, 'Host: 127.0.0.1', ...headers, `Content-Length: ${body.length}`, '', ''];
  return Buffer.concat([Buffer.from(head.join('\r\n')), body]);
}

const PATH = '/v2/models/m/infer';

export function jsonRequest(rows: number, columns: number): Buffer {
  const input = { name: 'x', shape: [rows, columns], datatype: 'FP32', data: values(rows * columns) };
  return post(PATH, Buffer.from(JSON.stringify({ inputs: [input] })), ['Content-Type: application/json']);
}

export function binaryRequest(rows: number, columns: number): Buffer {
  const bytes = Buffer.from(Float32Array.from(values(rows * columns)).buffer);
  const parameters = { binary_data_size: bytes.length };
  const json = JSON.stringify({
    parameters: { binary_data_output: true },
    inputs: [{ name: 'x', shape: [rows, columns], datatype: 'FP32', parameters }],
  });
  return post(PATH, Buffer.concat([Buffer.from(json), bytes]), [
    'Content-Type: application/octet-stream',
    `Inference-Header-Content-Length: ${json.length}`,
  ]);
}

export function grpcMessage(rows: number, columns: number): Buffer {
  return encodeModelInferRequest({
    modelName: 'm',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [rows, columns] }],
    rawInputContents: [Buffer.from(Float32Array.from(values(rows * columns)).buffer)],
  });
}
