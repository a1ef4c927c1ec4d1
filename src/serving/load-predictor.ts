import type { ServedModel } from '../api/serving-config.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ServingMetrics } from '../telemetry/serving-metrics.ts';
import type { BatchClock } from './batching/batcher.ts';
import type { ServerCounts } from './counts/server-counts.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { PredictionLog } from './prediction-log.ts';
import { Predictor } from './predictor.ts';
import { ModelSignature } from './protocol/model-signature.ts';
import { ResponseCache } from './response-cache.ts';
import { whyNotBatchable } from './row-independence.ts';
import type { SessionLike } from './session.ts';
import { warmUp } from './warm-up.ts';

export interface PredictorDefaults {
  readonly maxBatchSize: number;
  readonly maxDelayMs: number;
  readonly maxQueueSize: number;
}

export interface PredictorSurroundings {
  readonly defaults: PredictorDefaults;
  readonly metrics: ServingMetrics;
  readonly counts: ServerCounts;
  readonly log: PredictionLog | undefined;
  /** Memory for the cached answers of one model. */
  readonly maxCacheBytes: number;
  /** As `PredictorOptions.strings`. */
  readonly strings: MemoryBudget;
  readonly clock: BatchClock;
  readonly logger: Logger;
}

/**
 * Makes a predictor of a session that has just been opened: warmed up, proven by an inference, and with batching only
 * where rows do not depend on their neighbours. The session is closed when that fails.
 * @throws LoadFailure as `warmUp`.
 */
export async function preparePredictor(
  model: ServedModel,
  session: SessionLike,
  startedAtMs: number,
  { defaults, metrics, counts, log, maxCacheBytes, strings, clock, logger }: PredictorSurroundings,
): Promise<Predictor> {
  const signature = new ModelSignature(session.inputs, session.outputs);
  try {
    const sample = await warmUp(session, signature, model.examples ?? [], () => clock.nowMs());
    const asked = { ...defaults, ...model.batching };
    const isAsked = model.batching !== undefined;
    const obstacle =
      asked.maxBatchSize === 1 ? 'off by configuration' : await whyNotBatchable(session, sample, isAsked);
    const maxBatchSize = obstacle === undefined ? asked.maxBatchSize : 1;
    const loadSeconds = (clock.nowMs() - startedAtMs) / 1000;
    logger.log(obstacle !== undefined && (model.batching?.maxBatchSize ?? 1) > 1 ? 'warn' : 'info', 'model is ready', {
      model: model.name,
      version: model.version,
      provider: session.provider,
      loadSeconds,
      batching: obstacle ?? `up to ${maxBatchSize} rows`,
      ...(session.rowEvidence.verdict === 'unproven' && obstacle === undefined
        ? { batchingRisk: session.rowEvidence.why }
        : {}),
    });
    return new Predictor({
      name: model.name,
      version: model.version,
      signature,
      session,
      batching: {
        maxBatchSize,
        maxDelayMs: asked.maxDelayMs,
        maxQueueSize: model.maxQueueSize ?? defaults.maxQueueSize,
      },
      cache: model.cache === undefined ? undefined : new ResponseCache({ ...model.cache, maxBytes: maxCacheBytes }),
      strings,
      log,
      metrics: (queueDepth) => metrics.forModel(model.name, model.version ?? '', queueDepth, loadSeconds),
      counts: counts.forModel(model.name, model.version ?? ''),
      clock,
    });
  } catch (error) {
    await session.close();
    throw error;
  }
}
