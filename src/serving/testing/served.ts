import { createLogger } from '../../telemetry/logger.ts';
import { ServingMetrics } from '../../telemetry/serving-metrics.ts';
import { systemClock } from '../batching/batcher.ts';
import { ServedCounter } from '../counts/server-counts.ts';
import { MemoryBudget } from '../memory-budget.ts';
import { ModelSet } from '../model-set.ts';
import type { PredictionLog } from '../prediction-log.ts';
import { Predictor, type PredictorOptions } from '../predictor.ts';
import { MAX_WAITING_STRING_BYTES } from '../protocol/heap-limits.ts';
import { ModelSignature } from '../protocol/model-signature.ts';
import { Readiness } from '../readiness.ts';
import type { SessionLike } from '../session.ts';

/** A logger for tests: silent but for errors. */
export const quietLogger = createLogger('error');

export interface ServedFixture {
  readonly models: ModelSet;
  readonly readiness: Readiness;
  readonly metrics: ServingMetrics;
}

export interface ModelFixture extends Partial<Pick<PredictorOptions, 'batching' | 'cache'>> {
  readonly session: SessionLike;
  readonly name?: string;
  readonly version?: string;
  readonly log?: PredictionLog;
}

/** Models as a ready server holds them. */
export function served(...fixtures: readonly ModelFixture[]): ServedFixture {
  const metrics = new ServingMetrics();
  const named = fixtures.map((fixture) => ({ name: 'm', version: undefined, ...fixture }));
  const models = new ModelSet(named, () => metrics.unroutable.inc());
  const strings = new MemoryBudget('strings', MAX_WAITING_STRING_BYTES);
  for (const { name, version, session, batching, cache, log } of named) {
    models.add(
      new Predictor({
        name,
        version,
        session,
        signature: new ModelSignature(session.inputs, session.outputs),
        batching: batching ?? { maxBatchSize: 32, maxDelayMs: 0, maxQueueSize: 100 },
        cache,
        strings,
        log,
        metrics: (queueDepth) => metrics.forModel(name, version ?? '', queueDepth, 0),
        counts: new ServedCounter(),
        clock: systemClock,
      }),
    );
  }
  const readiness = new Readiness();
  readiness.phase = 'ready';
  return { models, readiness, metrics };
}
