import { ServingMetrics } from '../../../telemetry/serving-metrics.ts';
import { modelPath } from '../../models/load-fixture.ts';
import { OnnxSession } from '../../models/onnx-session.ts';
import { InferenceServer, type ServerPorts } from '../../server.ts';
import { quietLogger } from '../../testing/served.ts';

/** An inference server with a committed model, under the name and version by which the operator would have it serve. */
export async function realServer(
  name: string,
  version: string,
  file: string,
): Promise<{ readonly ports: ServerPorts; kill(): void }> {
  const server = new InferenceServer(
    {
      config: { models: [{ name, version, uri: `file:///${file}` }] },
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
    },
    {
      logger: quietLogger,
      metrics: new ServingMetrics(),
      log: undefined,
      serverVersion: '1.2.3',
      instance: name,
      openSession: async () => new OnnxSession({ path: modelPath(file), device: 'cpu', threads: 1 }),
      delay: async () => undefined,
    },
  );
  const ports = await server.listen();
  await server.load();
  return { ports, kill: () => server.kill() };
}
