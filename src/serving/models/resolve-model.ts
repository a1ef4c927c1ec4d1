import type { ResolvedModel } from '../../api/serving-config.ts';
import { startCopy } from './kept-copy.ts';
import { asLoadFailure, type LoadOptions, waitFor } from './load-model.ts';
import { readModel } from './model-digest.ts';
import { expectDigest } from './model-store.ts';
import { openModel } from './open-model.ts';
import { DEFAULT_SOURCE_LIMITS, parseModelUri } from './source.ts';

export type ResolveOptions = Pick<LoadOptions, 'pvcRoot' | 'credentials' | 'logger' | 'signal' | 'limits' | 'delay'> & {
  readonly uri: string;
  readonly endpoint?: string | undefined;
  /** What the digest must be. */
  readonly expected?: string | undefined;
  /** Where the model is kept: the file, or for a directory the directory. Nothing is kept without it. */
  readonly output?: string | undefined;
};

/**
 * Reads a model once, and tells its digest and size.
 * @throws LoadFailure as `loadModel` does, but for what only the graph and the engine can tell.
 */
export async function resolveModel({ uri, expected, output, ...options }: ResolveOptions): Promise<ResolvedModel> {
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
    const { shown } = parseModelUri(uri);
    const copy = output === undefined ? undefined : await startCopy(content, output, shown);
    try {
      const digest = await readModel(content, limits.maxModelBytes, copy?.sink);
      expectDigest(shown, expected, digest);
      await copy?.keep();
      return { sha256: digest.sha256, sizeBytes: digest.sizeBytes };
    } catch (error) {
      await copy?.discard();
      throw error;
    }
  } catch (error) {
    throw asLoadFailure(error, options.signal, deadline, limits.totalTimeoutMs);
  }
}
