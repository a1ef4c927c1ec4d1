/** Where a long step says what it does: one line a call, no line end. */
export type Progress = (line: string) => void;

export const reportToTerminal: Progress = (line) => process.stderr.write(`${line}\n`);

/** `75000` as `1m15s`. */
export function formatElapsed(elapsedMs: number): string {
  const seconds = Math.floor(elapsedMs / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`;
}
