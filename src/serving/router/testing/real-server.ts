import { modelPath } from '../../models/load-fixture.ts';
import { OnnxSession } from '../../models/onnx-session.ts';
import type { ServerPorts } from '../../server.ts';
import { inferenceServer } from '../../testing/inference-server.ts';

/** An inference server with a committed model, under the name and version by which the operator would have it serve. */
export async function realServer(
  name: string,
  version: string,
  file: string,
): Promise<{ readonly ports: ServerPorts; kill(): void }> {
  const server = inferenceServer(
    { config: { models: [{ name, version, uri: `file:///${file}` }] } },
    {
      instance: name,
      openSession: async () => new OnnxSession({ path: modelPath(file), device: 'cpu', threads: 1 }),
    },
  );
  const ports = await server.listen();
  await server.load();
  return { ports, kill: () => server.kill() };
}
