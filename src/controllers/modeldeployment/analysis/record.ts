/** What is remembered of the analysis of the step under way: JSON on the Deployment of the revision that is judged. */
import { type AnalysisState, decodeState } from '../../../rollout/analysis/state.ts';
import type { AnalysisRequest } from '../../../rollout/types.ts';
import { REVISION_ANNOTATIONS, type Revision } from '../revision.ts';

export interface AnalysisRecord {
  /** What it is about; of another request nothing of it counts. */
  readonly request: AnalysisRequest;
  readonly state: AnalysisState;
}

export function recordText({ request, state }: AnalysisRecord): string {
  return JSON.stringify({ request, state });
}

/** @returns undefined for what another version of the operator has written: then the step's analysis begins again */
export function parseRecord(text: string | undefined): AnalysisRecord | undefined {
  if (text === undefined) return undefined;
  try {
    const { request, state } = JSON.parse(text) as { readonly request?: unknown; readonly state?: unknown };
    const known = decodeState(JSON.stringify(state));
    return isRequest(request) && known !== undefined ? { request, state: known } : undefined;
  } catch {
    return undefined;
  }
}

function isRequest(value: unknown): value is AnalysisRequest {
  if (typeof value !== 'object' || value === null) return false;
  const { canary, stable, metrics, sinceMs, isMirrored, limitsOnly } = value as Record<keyof AnalysisRequest, unknown>;
  return (
    typeof canary === 'string' &&
    typeof stable === 'string' &&
    Array.isArray(metrics) &&
    metrics.every((metric) => typeof metric === 'string') &&
    typeof sinceMs === 'number' &&
    typeof isMirrored === 'boolean' &&
    typeof limitsOnly === 'boolean'
  );
}

export function isSameRequest(a: AnalysisRequest, b: AnalysisRequest): boolean {
  return (
    a.canary === b.canary &&
    a.stable === b.stable &&
    a.sinceMs === b.sinceMs &&
    a.isMirrored === b.isMirrored &&
    a.limitsOnly === b.limitsOnly &&
    a.metrics.join() === b.metrics.join()
  );
}

/** The record on one of the revisions; at most one of them is judged. */
export function recordOn(revisions: readonly Revision[]): AnalysisRecord | undefined {
  return revisions.map(({ analysis }) => parseRecord(analysis)).find((record) => record !== undefined);
}

export const ANALYSIS_ANNOTATION = REVISION_ANNOTATIONS.analysis;
