import type { ModelDeploymentStatus } from '../../api/v1alpha1/model-deployment-status.ts';
import { setConditions } from '../../runtime/conditions.ts';
import type { ReconcileContext } from '../../runtime/reconcile-context.ts';
import type { ObjectKey } from '../../runtime/types.ts';
import { MODEL_DEPLOYMENTS } from '../kinds.ts';
import { canonicalJson } from './revision.ts';
import { lookAgain, type Scope } from './scope.ts';
import { type Report, report } from './status.ts';

/** Counts of pods and messages with them are written at most this often an object; what they mean, at once. */
export const NUMBERS_INTERVAL_MS = 1_000;

/** Writes status and tells Events: the one place that does. */
export class Reporter {
  /** When the status of an object was last written by this process. */
  readonly #writtenAtMs = new Map<ObjectKey, number>();

  async tell(scope: Scope, context: ReconcileContext): Promise<void> {
    const { object, nowMs } = scope;
    const before = object.status;
    const found = reportOf(scope);
    const at = { generation: object.metadata.generation, nowMs };
    const status = { ...found.fields, conditions: [...setConditions(before?.conditions, found.conditions, at)] };
    if (canonicalJson(status) === canonicalJson(before)) return;
    const writtenAtMs = this.#writtenAtMs.get(context.key) ?? Number.NEGATIVE_INFINITY;
    const mayWriteAtMs = writtenAtMs + NUMBERS_INTERVAL_MS;
    // A clock that was put back must not keep numbers from being written until it is where it was.
    const isRecent = writtenAtMs <= nowMs && nowMs < mayWriteAtMs;
    if (isRecent && essenceOf(status) === essenceOf(before)) {
      lookAgain(scope, mayWriteAtMs);
      return;
    }
    await context.writeStatus(MODEL_DEPLOYMENTS, object, status);
    this.#writtenAtMs.set(context.key, nowMs);
    if (before?.phase !== status.phase) tellPhase(scope, context, status);
  }

  forget(key: ObjectKey): void {
    this.#writtenAtMs.delete(key);
  }
}

/**
 * An error that came before anything was decided says nothing about what serves: then only it is told, and the rest stays
 * as it was. Once it is known what is wanted, or who refuses it, the whole status is.
 */
function reportOf(scope: Scope): Report {
  const full = report(scope);
  const before = scope.object.status;
  const isUndecided = scope.problem?.reason === 'ReconcileError' && scope.model.kind === 'unknown';
  if (!isUndecided || before?.conditions === undefined) return full;
  const { conditions: _conditions, ...fields } = before;
  return { fields, conditions: full.conditions.filter(({ type }) => type === 'Progressing') };
}

/** Status without the numbers that move by themselves. */
function essenceOf(status: ModelDeploymentStatus | undefined): string {
  const { phase, observedGeneration, model, address, stable, canary, conditions } = status ?? {};
  return canonicalJson({
    phase,
    observedGeneration,
    model,
    address,
    revisions: [stable?.revision, canary?.revision],
    conditions: conditions?.map(({ type, status: is, reason }) => [type, is, reason]),
  });
}

function tellPhase({ object }: Scope, context: ReconcileContext, { phase, conditions }: ModelDeploymentStatus): void {
  const ready = conditions?.find(({ type }) => type === 'Ready');
  const note = ready?.message ?? '';
  if (phase === 'Ready') context.event(object, { type: 'Normal', reason: 'Ready', action: 'Serve', note });
  if (phase === 'Failed') {
    context.event(object, { type: 'Warning', reason: ready?.reason ?? 'Failed', action: 'Serve', note });
  }
}
