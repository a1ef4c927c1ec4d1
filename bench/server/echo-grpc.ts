import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { ECHO } from './echo-method.ts';

/** The bar for gRPC: a grpc-js server that answers with the bytes it got. `echo-grpc.ts PORT`. */
const server = new Server();
server.addService(
  { Echo: ECHO },
  {
    Echo: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => callback(null, call.request),
  },
);
server.bindAsync(`127.0.0.1:${process.argv[2]}`, ServerCredentials.createInsecure(), () => console.log('listening'));
