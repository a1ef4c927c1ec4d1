import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { ECHO } from '../../server/echo-method.ts';

/** The bar for gRPC: grpc-js in front, grpc-js behind, bytes unread. `grpc-passthrough.ts PORT BACKEND BACKEND`, 90 to 10. */
const [port = 0, ...backends] = process.argv.slice(2).map(Number);
const clients = backends.map((backend) => new Client(`127.0.0.1:${backend}`, credentials.createInsecure()));
const server = new Server();
server.addService(
  { Echo: ECHO },
  {
    Echo: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      const client = clients[Math.random() < 0.9 ? 0 : 1];
      client?.makeUnaryRequest(ECHO.path, ECHO.requestSerialize, ECHO.responseDeserialize, call.request, callback);
    },
  },
);
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), () => console.log('listening'));
process.once('SIGINT', () => process.exit(0));
