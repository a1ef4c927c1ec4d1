import { expect, test } from 'vitest';
import { row } from './row.ts';

test('a row is one line, whatever a record says', () => {
  expect(row('T', '12', 'Error', 'refused\r\n\u001b[2Jred\u2028more')).toBe(
    `T${' '.repeat(33)}12  Error             refused [2Jred more\n`,
  );
});
