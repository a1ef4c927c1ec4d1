const same = (bytes: Buffer): Buffer => bytes;

/** The one method of gRPC's echoes: a message goes and comes as bytes. */
export const ECHO = {
  path: '/bench.Echo/Echo',
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const;
