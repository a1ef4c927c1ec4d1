import type { ResolvedModel } from '../../api/serving-config.ts';
import { asLoadFailure, type LoadOptions, waitFor } from './load-model.ts';
import { readModel } from './model-digest.ts';
import { openModel } from './open-model.ts';
import { DEFAULT_SOURCE_LIMITS } from './source.ts';

export type ResolveOptions = Pick<LoadOptions, 'pvcRoot' | 'credentials' | 'logger' | 'signal' | 'limits' | 'delay'> & {
  readonly uri: string;
  readonly endpoint?: string | undefined;
};

/**
 * Reads a model once, keeping nothing, and tells its digest and size.
 * @throws LoadFailure as `loadModel` does, but for what only the engine can tell.
 */
export async function resolveModel({ uri, ...options }: ResolveOptions): Promise<ResolvedModel> {
  const limits = { ...DEFAULT_SOURCE_LIMITS, ...options.limits };
  const deadline = AbortSignal.timeout(limits.totalTimeoutMs);
  const signal = AbortSignal.any([options.signal, deadline]);
  try {
    const content = await openModel(uri, {
      ...options,
      endpoint: options.endpoint,
      limits,
      signal,
      delay: options.delay ?? waitFor,
    });
    const { sha256, sizeBytes } = await readModel(content, limits.maxModelBytes);
    return { sha256, sizeBytes };
  } catch (error) {
    throw asLoadFailure(error, options.signal, deadline, limits.totalTimeoutMs);
  }
}
