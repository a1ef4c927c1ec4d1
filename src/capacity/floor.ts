/**
 * Ready pods below which no swap may take a rollout. Without `maxUnavailable` one of several pods may be missing while
 * room is made on a full cluster, and a single one never: a swap that leaves nobody to serve is only made when asked for.
 * @param desired pods that the rollout is to have ready in the end
 * @param maxUnavailable pods that may be missing, where the user says so
 */
export function availabilityFloor(desired: number, maxUnavailable: number | undefined): number {
  if (maxUnavailable !== undefined && maxUnavailable > 0) return Math.max(0, desired - maxUnavailable);
  return Math.min(desired, Math.max(1, desired - 1));
}
