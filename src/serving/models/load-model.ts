import { setTimeout as wait } from 'node:timers/promises';
import type { ServedModel } from '../../api/serving-config.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { SessionLike } from '../session.ts';
import { LoadFailure } from './failure.ts';
import { placeModel } from './model-store.ts';
import { openModel } from './open-model.ts';
import { openSession } from './open-session.ts';
import { DEFAULT_SOURCE_LIMITS, type ModelCredentials, type SourceLimits } from './source.ts';

export interface LoadOptions {
  /** Where fetched models are kept. */
  readonly modelRoot: string;
  /** `pvc://CLAIM/PATH` lies at `<pvcRoot>/CLAIM/PATH`. */
  readonly pvcRoot: string;
  readonly device: 'cpu' | 'gpu';
  readonly credentials: ModelCredentials;
  readonly logger: Logger;
  /** Stops the load; what was fetched so far is removed. */
  readonly signal: AbortSignal;
  readonly limits?: Partial<SourceLimits>;
  /** Waits between attempts; real time unless given. */
  readonly delay?: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Bytes that may still be written at a path; asks the file system unless given. */
  readonly freeBytes?: (path: string) => Promise<number>;
}

export interface LoadedModel {
  readonly session: SessionLike;
  /** Of the bytes that the session was made from. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** The `.onnx` file. */
  readonly path: string;
}

/**
 * Fetches a model, checks its digest before the engine sees a byte of it, and opens a session.
 * @throws LoadFailure with the reason that status shows.
 */
export async function loadModel(model: ServedModel, options: LoadOptions): Promise<LoadedModel> {
  const limits = { ...DEFAULT_SOURCE_LIMITS, ...options.limits };
  const deadline = AbortSignal.timeout(limits.totalTimeoutMs);
  const signal = AbortSignal.any([options.signal, deadline]);
  const logger = options.logger.child({ model: model.name });
  try {
    const placed = await placeModel(model, {
      modelRoot: options.modelRoot,
      logger,
      maxModelBytes: limits.maxModelBytes,
      freeBytes: options.freeBytes,
      open: () =>
        openModel(model.uri, {
          pvcRoot: options.pvcRoot,
          endpoint: model.endpoint,
          credentials: options.credentials,
          limits,
          signal,
          logger,
          delay: options.delay ?? waitFor,
        }),
    });
    const session = await openSession({ ...placed, device: options.device, logger });
    return { session, sha256: placed.sha256, sizeBytes: placed.sizeBytes, path: placed.path };
  } catch (error) {
    throw asLoadFailure(error, options.signal, deadline, limits.totalTimeoutMs);
  }
}

/** Real time, as the default `delay`. */
export async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal });
}

/** Gives every way in which reading a model may end a reason; an abort by the caller stays the abort it is. */
export function asLoadFailure(
  error: unknown,
  caller: AbortSignal,
  deadline: AbortSignal,
  totalTimeoutMs: number,
): unknown {
  if (caller.aborted || error instanceof LoadFailure) return error;
  if (deadline.aborted) {
    return new LoadFailure('SourceUnreachable', `The model did not arrive within ${totalTimeoutMs / 1000} s`, {
      cause: error,
    });
  }
  return new LoadFailure('LoadFailed', error instanceof Error ? error.message : String(error), { cause: error });
}
