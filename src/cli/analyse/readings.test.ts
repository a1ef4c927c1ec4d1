import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { InvalidRecord } from '../../rollout/analysis/record.ts';
import { readingsIn } from './readings.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'record-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function timesIn(text: string): Promise<number[]> {
  const file = join(folder, 'record.jsonl');
  await writeFile(file, text);
  const times: number[] = [];
  for await (const { atMs } of readingsIn(file)) times.push(atMs);
  return times;
}

const reading = (atMs: number) => JSON.stringify({ atMs, routers: [], servers: [] });

test.each([
  ['lines of a shell that marks the byte order', `\uFEFF${reading(1)}\r\n${reading(2)}\r\n`],
  ['lines with empty ones between', `${reading(1)}\n\n  \n${reading(2)}`],
])('a record is read from %s', async (_, text) => {
  expect(await timesIn(text)).toEqual([1, 2]);
});

test.each([
  ['nothing', '', /^the record has no reading$/],
  ['empty lines', ' \n\n', /^the record has no reading$/],
  ['a line that was cut off', `${reading(1)}\n${reading(2).slice(0, 9)}`, /^line 2 is not JSON: /],
])('a record of %s is none', async (_, text, problem) => {
  await expect(timesIn(text)).rejects.toThrow(InvalidRecord);
  await expect(timesIn(text)).rejects.toThrow(problem);
});
