import { ServingMetrics } from '../../telemetry/serving-metrics.ts';
import { InferenceServer, type ServerDependencies } from '../server.ts';
import type { ServerOptions } from '../server-options.ts';
import { quietLogger } from './served.ts';

/** A whole server that does not listen yet, on ports of its own: of what a test does not say, nothing waits. */
export function inferenceServer(
  options: Pick<ServerOptions, 'config'> & Partial<ServerOptions>,
  dependencies: Pick<ServerDependencies, 'openSession'> & Partial<ServerDependencies>,
): InferenceServer {
  return new InferenceServer(
    {
      host: '127.0.0.1',
      httpPort: 0,
      grpcPort: 0,
      metricsPort: 0,
      modelRoot: '/none',
      pvcRoot: '/none',
      device: 'cpu',
      maxBatchSize: 32,
      maxDelayMs: 0,
      maxQueueSize: 1000,
      maxRequestBytes: 1_000_000,
      drainDelayMs: 0,
      graceMs: 1000,
      ...options,
    },
    {
      logger: quietLogger,
      metrics: new ServingMetrics(),
      log: undefined,
      serverVersion: '1.2.3',
      instance: 'server_1',
      // A turn of the event loop: whatever a stop waits for in between must be able to happen.
      delay: () => new Promise((resolve) => setImmediate(resolve)),
      ...dependencies,
    },
  );
}
