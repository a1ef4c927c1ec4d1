import { describe, expect, test } from 'vitest';
import { Screen } from './screen.ts';

function stream(terminal: { readonly isTTY: boolean; readonly rows?: number }) {
  const written: string[] = [];
  return { ...terminal, written, write: (text: string) => written.push(text) };
}

describe('a screen', () => {
  test('in a terminal shows a text in the place of the one before', () => {
    const terminal = stream({ isTTY: true, rows: 40 });
    const screen = new Screen(terminal);
    screen.show('a\nb');
    screen.show('c');
    screen.show('d');
    expect(terminal.written).toEqual(['a\nb\n', '\u001b[2A\u001b[0Jc\n', '\u001b[1A\u001b[0Jd\n']);
  });

  test('elsewhere shows one after the other, with no control characters', () => {
    const file = stream({ isTTY: false });
    const screen = new Screen(file);
    screen.show('a');
    screen.show('b');
    expect(file.written).toEqual(['a\n', '\nb\n']);
  });

  test.each([true, false])('shows the same text once (terminal: %s)', (isTTY) => {
    const out = stream({ isTTY });
    const screen = new Screen(out);
    screen.show('a');
    screen.show('a');
    expect(out.written).toHaveLength(1);
  });

  test('cuts what does not fit, so that it can be written over', () => {
    const terminal = stream({ isTTY: true, rows: 3 });
    const screen = new Screen(terminal);
    screen.show('1\n2\n3\n4');
    screen.show('x');
    expect(terminal.written).toEqual(['1\n2\n', '\u001b[2A\u001b[0Jx\n']);
  });
});
