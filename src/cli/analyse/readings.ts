import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { InvalidRecord, parseReading, type RecordedReading } from '../../rollout/analysis/record.ts';

/** Some shells write it before all that they redirect. */
const BYTE_ORDER_MARK = /^\uFEFF/;

/**
 * The readings of a record, line by line: it may be larger than memory.
 * @throws {InvalidRecord} naming the line, or that there is none; and what the file system throws
 */
export async function* readingsIn(file: string): AsyncGenerator<RecordedReading> {
  let [lineNumber, readings] = [0, 0];
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    lineNumber += 1;
    const text = lineNumber === 1 ? line.replace(BYTE_ORDER_MARK, '') : line;
    if (text.trim() === '') continue;
    readings += 1;
    yield parseReading(text, lineNumber);
  }
  if (readings === 0) throw new InvalidRecord('the record has no reading');
}
