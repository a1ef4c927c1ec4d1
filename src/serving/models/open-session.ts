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
  /** Throws when what the engine reads at `path` may not be what was hashed. */
  readonly confirmUnchanged: () => Promise<void>;
}

/**
 * Opens a session in this thread or in one of its own, whichever suits the model. Whenever the engine reads the model,
 * now or on a later move to a thread, it is confirmed to be what was hashed.
 * @throws LoadFailure as `OnnxSession` and `confirmUnchanged` do.
 */
export async function openSession({
  path,
  bytes,
  sizeBytes,
  device,
  logger,
  confirmUnchanged,
}: OpenSessionOptions): Promise<SessionLike> {
  const options: SessionOptions = { path, device, threads: engineThreads(), ...(bytes === undefined ? {} : { bytes }) };
  const openWorker = () =>
    openUnchanged(confirmUnchanged, async () => (await import('./worker-session.ts')).WorkerSession.open(options));
  if (device === 'gpu' || sizeBytes > WORKER_MODEL_BYTES) return openWorker();
  const { OnnxSession } = await import('./onnx-session.ts');
  const session = await openUnchanged(confirmUnchanged, async () => new OnnxSession(options));
  return new AdaptiveSession(session, { openWorker, logger, now: () => performance.now() });
}

/** Confirmed on both sides of the reading: a change before it and one amid it are both seen. */
async function openUnchanged(
  confirmUnchanged: () => Promise<void>,
  open: () => Promise<SessionLike>,
): Promise<SessionLike> {
  await confirmUnchanged();
  const session = await open();
  try {
    await confirmUnchanged();
    return session;
  } catch (error) {
    await session.close();
    throw error;
  }
}
