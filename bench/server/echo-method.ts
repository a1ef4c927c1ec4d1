import { bytesMethod } from '../../src/serving/grpc/bytes-method.ts';

/** The one method of gRPC's echoes. */
export const ECHO = bytesMethod('/bench.Echo/Echo');
