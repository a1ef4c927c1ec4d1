const COLUMNS = { time: 24, requests: 10, verdict: 18 } as const;

/** What a record says of failures is anybody's text: it moves no cursor and begins no line. */
const inOneLine = (text: string) => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');

/** One line of the table of verdicts. */
export const row = (time: string, requests: string, verdict: string, message: string): string =>
  `${time.padEnd(COLUMNS.time)}  ${requests.padStart(COLUMNS.requests)}  ${verdict.padEnd(COLUMNS.verdict)}${inOneLine(message)}\n`;
