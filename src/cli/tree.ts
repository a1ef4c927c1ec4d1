/** A tree of lines, as terminals and files show it. Pure. */

export type Tone = 'good' | 'bad' | 'busy' | 'faint' | 'strong';

/** A piece of a line. Tones are colours in a terminal and nothing elsewhere: what they say, the text says too. */
export interface Span {
  readonly text: string;
  readonly tone?: Tone;
}

export interface TreeNode {
  readonly line: readonly Span[];
  readonly children: readonly TreeNode[];
}

const COLOURS: Readonly<Record<Tone, string>> = { good: '32', bad: '31', busy: '33', faint: '2', strong: '1' };

export interface RenderOptions {
  readonly isTerminal: boolean;
  /** Longer lines are cut; undefined: they are not. */
  readonly columns: number | undefined;
}

/** @returns lines without a newline at the end */
export function renderTree(root: TreeNode, options: RenderOptions): string {
  const lines: string[] = [];
  const visit = (node: TreeNode, first: string, others: string): void => {
    lines.push(`${first}${renderLine(node.line, options, first.length)}`);
    node.children.forEach((child, index) => {
      const isLast = index === node.children.length - 1;
      visit(child, `${others}${isLast ? '└─ ' : '├─ '}`, `${others}${isLast ? '   ' : '│  '}`);
    });
  };
  visit(root, '', '');
  return lines.join('\n');
}

function renderLine(spans: readonly Span[], { isTerminal, columns }: RenderOptions, indent: number): string {
  let left = Math.max(10, (columns ?? Number.POSITIVE_INFINITY) - indent);
  let line = '';
  for (const { text, tone } of spans) {
    const plain = printable(text);
    const shown = plain.length <= left ? plain : `${plain.slice(0, left - 1)}…`;
    line += isTerminal && tone !== undefined ? `\u001b[${COLOURS[tone]}m${shown}\u001b[0m` : shown;
    left -= shown.length;
    if (left <= 0) break;
  }
  return line.trimEnd();
}

/** Messages come from images and models of anyone: they must not move the cursor or colour the screen. */
function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}
