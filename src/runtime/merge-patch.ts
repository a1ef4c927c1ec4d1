/**
 * The smallest RFC 7396 merge patch that makes `after` of `before`, or undefined when there is nothing to change.
 * Undefined and null members count as absent; lists are replaced whole.
 */
export function mergePatch(before: unknown, after: unknown): unknown {
  if (!isMap(before) || !isMap(after)) return isSame(before, after) ? undefined : after;
  const patch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(after)) {
    if (isAbsent(value)) continue;
    const old = ownMember(before, name);
    const change = isAbsent(old) ? withoutAbsent(value) : mergePatch(old, value);
    if (change !== undefined) patch[name] = change;
  }
  for (const [name, value] of Object.entries(before)) {
    if (!isAbsent(value) && isAbsent(ownMember(after, name))) patch[name] = null;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => isSame(item, b[index]));
  }
  return isMap(a) && isMap(b) && mergePatch(a, b) === undefined;
}

/** A null inside a patch would delete, and inside a value that is new there is nothing to delete. */
function withoutAbsent(value: unknown): unknown {
  if (!isMap(value)) return value;
  const kept = Object.entries(value).filter(([, member]) => !isAbsent(member));
  return Object.fromEntries(kept.map(([name, member]) => [name, withoutAbsent(member)]));
}

/** A label may be named `constructor`, which every object has. */
function ownMember(map: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(map, name) ? map[name] : undefined;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
