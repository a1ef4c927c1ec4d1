/** A message that passes as it is. */
export const asBytes = (bytes: Buffer): Buffer => bytes;

/** A method whose messages pass as bytes, as grpc-js wants one described: unary unless it says otherwise. */
export function bytesMethod(path: string, { requestStream = false, responseStream = false } = {}) {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: asBytes,
    requestDeserialize: asBytes,
    responseSerialize: asBytes,
    responseDeserialize: asBytes,
  };
}
