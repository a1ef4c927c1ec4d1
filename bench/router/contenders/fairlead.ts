import { systemClock } from '../../../src/serving/batching/batcher.ts';
import { RevisionCounters } from '../../../src/serving/counts/revision-counters.ts';
import { GrpcRelay } from '../../../src/serving/router/grpc/grpc-relay.ts';
import { GrpcUpstreams } from '../../../src/serving/router/grpc/grpc-upstreams.ts';
import { HttpPort } from '../../../src/serving/router/http-port.ts';
import { HttpUpstreams } from '../../../src/serving/router/http1/upstreams.ts';
import { RouteTable } from '../../../src/serving/router/route-table.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';

/**
 * The router's data plane without a cluster: `fairlead.ts PORT BACKEND BACKEND [grpc]`; one of ten requests goes to the
 * second. With `grpc` the ports are those of gRPC.
 */
const [port = 0, stable = 0, canary = 0] = process.argv.slice(2).map(Number);
const ports = (own: number, unused: number) =>
  process.argv.at(-1) === 'grpc' ? { http: unused, grpc: own } : { http: own };
const UNUSED_PORT = 17_299;
const upstreams = new HttpUpstreams({ clock: systemClock });
const grpcUpstreams = new GrpcUpstreams(systemClock);
const table = new RouteTable({
  host: '127.0.0.1',
  clock: systemClock,
  random: Math.random,
  logger: createLogger('error'),
  counters: new RevisionCounters(),
  open: {
    http: (router) => new HttpPort({ router, upstreams, clock: systemClock, random: Math.random }),
    grpc: (router) => new GrpcRelay({ router, upstreams: grpcUpstreams, clock: systemClock, random: Math.random }),
  },
  onPool: (pool) => pool.watch(process.argv.at(-1) === 'grpc' ? grpcUpstreams : upstreams),
  onChange: () => undefined,
});
for (const revision of ['stable', 'canary']) table.setAddresses(revision, ['127.0.0.1']);
await table.apply(
  'churn',
  JSON.stringify({
    generation: 1,
    modelDeployment: 'churn',
    ports: ports(port, UNUSED_PORT),
    backends: [
      { revision: 'canary', weight: 10, ports: ports(canary, UNUSED_PORT) },
      { revision: 'stable', weight: 90, ports: ports(stable, UNUSED_PORT) },
    ],
    limits: { maxBodyBytes: 67_108_864, maxQueue: 1_000, maxInFlight: 1_000, timeoutMs: 60_000 },
  }),
);
const refused = table.report.refused.churn;
if (refused !== undefined) throw new Error(refused);
console.log('listening');
// Ends in order, so that a profiler writes what it has.
process.once('SIGINT', () => process.exit(0));
