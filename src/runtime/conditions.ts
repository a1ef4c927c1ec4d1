/** One aspect of an object's state, as in Kubernetes' own `metav1.Condition`. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** A word in CamelCase for machines. */
  readonly reason: string;
  /** A sentence for people, without times in it: a message that changes by itself is a write that never ends. */
  readonly message: string;
  /** The generation of the spec that this was found out about. */
  readonly observedGeneration?: number;
  /** When `status` last changed, RFC 3339 in whole seconds. */
  readonly lastTransitionTime: string;
}

export type ConditionUpdate = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/**
 * The conditions with the updates in them, sorted by type so that they always stand in the same order. The transition
 * time moves only when the status does.
 */
export function setConditions(
  existing: readonly Condition[] | undefined,
  updates: readonly ConditionUpdate[],
  at: { readonly generation: number | undefined; readonly nowMs: number },
): readonly Condition[] {
  const byType = new Map((existing ?? []).map((condition) => [condition.type, condition]));
  for (const { type, status, reason, message } of updates) {
    const old = byType.get(type);
    byType.set(type, {
      type,
      status,
      reason,
      message,
      ...(at.generation === undefined ? {} : { observedGeneration: at.generation }),
      lastTransitionTime:
        old !== undefined && old.status === status ? old.lastTransitionTime : rfc3339Seconds(at.nowMs),
    });
  }
  return [...byType.values()].sort((a, b) => (a.type < b.type ? -1 : a.type > b.type ? 1 : 0));
}

export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** `2026-01-31T12:00:00Z`: the form of Kubernetes' `Time`. */
export function rfc3339Seconds(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** `2026-01-31T12:00:00.123000Z`: the form of Kubernetes' `MicroTime`. */
export function rfc3339Micros(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000Z`;
}
