import type { Logger } from '../../telemetry/logger.ts';
import type { SessionLike } from '../session.ts';
import { AdaptiveSession } from './adaptive-session.ts';
import { engineThreads } from './cpu-limit.ts';
import type { SessionOptions } from './onnx-session.ts';

/** Models above this size go to a thread of their own at once: their runs are long, and loading them twice is dear. */
const WORKER_MODEL_BYTES = 64 * 2 ** 20;

export interface OpenSessionOptions {
  readonly path: string;
  readonly bytes?: Uint8Array;
  readonly sizeBytes: number;
  readonly device: 'cpu' | 'gpu';
  readonly logger: Logger;
}

/**
 * Opens a session in this thread or in one of its own, whichever suits the model.
 * @throws LoadFailure as `OnnxSession` does.
 */
export async function openSession({
  path,
  bytes,
  sizeBytes,
  device,
  logger,
}: OpenSessionOptions): Promise<SessionLike> {
  const options: SessionOptions = { path, device, threads: engineThreads(), ...(bytes === undefined ? {} : { bytes }) };
  const openWorker = async () => (await import('./worker-session.ts')).WorkerSession.open(options);
  if (device === 'gpu' || sizeBytes > WORKER_MODEL_BYTES) return openWorker();
  const { OnnxSession } = await import('./onnx-session.ts');
  return new AdaptiveSession(new OnnxSession(options), { openWorker, logger, now: () => performance.now() });
}
