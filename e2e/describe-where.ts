import { describe } from 'vitest';

/** `describe`; where `holds` is false a skipped one, which says what it needs. */
export function describeWhere(holds: boolean, needs: string): (title: string, tests: () => void) => void {
  if (holds) return describe;
  return (title, tests) => {
    console.log(`skipped: ${title}: needs ${needs}`);
    describe.skip(`${title} (needs ${needs})`, tests);
  };
}
