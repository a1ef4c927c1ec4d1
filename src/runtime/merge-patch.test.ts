import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mergePatch } from './merge-patch.ts';

/** RFC 7396, section 2. */
function applyPatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const isMap = typeof target === 'object' && target !== null && !Array.isArray(target);
  const result: Record<string, unknown> = isMap ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = applyPatch(result[name], value);
  }
  return result;
}

describe('a merge patch', () => {
  test.each([
    ['nothing for equal values', { a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }, undefined],
    ['nothing for members that are undefined or null on both sides', { a: null }, { b: undefined }, undefined],
    ['only what changed', { a: 1, b: { c: 2, d: 3 } }, { a: 1, b: { c: 2, d: 4 } }, { b: { d: 4 } }],
    ['null for what is gone', { a: 1, b: 2 }, { a: 1 }, { b: null }],
    ['null for what is gone though every object has its name', { constructor: 1 }, {}, { constructor: null }],
    ['whole lists', { a: [1, 2] }, { a: [1, 2, 3] }, { a: [1, 2, 3] }],
    ['no nulls inside of what is new', {}, { a: { b: undefined, c: 1 } }, { a: { c: 1 } }],
  ])('holds %s', (_title, before, after, patch) => {
    expect(mergePatch(before, after)).toEqual(patch);
  });

  test('makes the one of the other, for any JSON without nulls', () => {
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 3 },
        fc.string({ maxLength: 3 }),
        fc.integer(),
        fc.boolean(),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('tree'), { maxKeys: 3 }),
      ),
    }));
    const map = fc.dictionary(fc.constantFrom('a', 'b', 'c'), tree);
    fc.assert(
      fc.property(map, map, (before, after) => {
        const patch = mergePatch(before, after);
        expect(patch === undefined ? before : applyPatch(before, patch)).toEqual(after);
      }),
    );
  });
});
