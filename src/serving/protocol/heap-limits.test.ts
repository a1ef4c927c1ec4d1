import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

test('no request within the size limit and no answer fills the heap: each is refused, in a process with a small one', async () => {
  const program = fileURLToPath(new URL('../testing/hostile-requests.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--max-old-space-size=96', program]);
  expect(JSON.parse(stdout)).toEqual({
    'objects in JSON': 'TooLarge',
    'as many objects as JSON may hold': 'InvalidArgument',
    'objects beside a long integer': 'InvalidArgument',
    'more of them': 'TooLarge',
    'values of gRPC': 'TooLarge',
    'as many values of gRPC as a larger heap takes': 'TooLarge',
    'as many values of gRPC as there may be': 'InvalidArgument',
    'empty strings of gRPC': 'InvalidArgument',
    'empty inputs': 'TooLarge',
    'empty raw contents': 'TooLarge',
    'empty parameters': 'TooLarge',
    dimensions: 'TooLarge',
    'empty strings in binary': 'InvalidArgument',
    'a shape of many strings': 'InvalidArgument',
    'strings of requests that wait': 'QueueFull',
    'an answer of many floats in JSON': 'TooLarge',
    'as many floats in JSON as there may be': 'taken',
    'as much text in JSON as there may be': 'taken',
    'long answers in JSON to one batch': 'taken',
    'many rows in JSON': 'TooLarge',
    'as many rows in JSON as there may be': 'taken',
    'an answer of many integers in typed fields': 'TooLarge',
    'as many integers in typed fields as there may be': 'taken',
  });
}, 120_000);
