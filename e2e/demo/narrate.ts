/** What a person reads while the demo runs: headings, commands as they could type them, and what those printed. */

const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined;
const paint = (code: number, text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);

let chapters = 0;

export function chapter(title: string): void {
  chapters++;
  console.log(`\n${paint(1, `${chapters}. ${title}`)}`);
}

export function say(text: string): void {
  console.log(`   ${text}`);
}

/** A command that the reader could have typed, before its output. */
export function command(line: string): void {
  console.log(`   ${paint(36, `$ ${line}`)}`);
}

export function output(text: string): void {
  for (const line of text.trimEnd().split('\n')) console.log(`   ${line}`);
}

/** Rows of cells as aligned columns, the first row as their headings. */
export function table(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of rows) output(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   '));
}
