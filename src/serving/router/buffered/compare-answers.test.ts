import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer } from './answer.ts';
import { answersAgree, valuesAgree } from './compare-answers.ts';

const json = (value: unknown, status = 200): Answer => ({
  status,
  contentType: 'application/json',
  jsonBytes: undefined,
  body: Buffer.from(JSON.stringify(value)),
});
const infer = (data: unknown, extra: object = {}): Answer =>
  json({ model_name: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [2], data, ...extra }] });

function binary(values: readonly number[], modelName = 'm'): Answer {
  const bytes = Buffer.from(Float32Array.from(values).buffer);
  const parameters = { binary_data_size: bytes.length };
  const text = JSON.stringify({
    model_name: modelName,
    outputs: [{ name: 'y', datatype: 'FP32', shape: [values.length], parameters }],
  });
  return {
    status: 200,
    contentType: 'application/octet-stream',
    jsonBytes: text.length,
    body: Buffer.concat([Buffer.from(text), bytes]),
  };
}

describe('answers to infer', () => {
  it.each([
    ['the same numbers', infer([1, 2]), infer([1, 2]), true],
    ['numbers within the tolerance', infer([1, 2]), infer([1.0009, 2]), true],
    ['numbers beyond it', infer([1, 2]), infer([1.002, 2]), false],
    ['large numbers within the relative tolerance', infer([1e6, 2]), infer([1e6 + 900, 2]), true],
    ['another shape', infer([1, 2]), infer([1, 2], { shape: [1, 2] }), false],
    ['nested data', infer([1, 2], { shape: [1, 2] }), infer([[1, 2]], { shape: [1, 2] }), true],
    ['not a number on both sides', infer(['NaN', 2]), infer(['NaN', 2]), true],
    ['not a number on one side', infer(['NaN', 2]), infer([1, 2]), false],
    ['fewer numbers', infer([1, 2]), infer([1]), false],
    ['another version and id', json({ model_version: '1', id: 'a', x: 1 }), json({ model_version: '2', x: 1 }), true],
    ['rows within the tolerance', json({ predictions: [1, [2]] }), json({ predictions: [1, [2.0001]] }), true],
    ['labels that differ', json({ prediction: 'cat' }), json({ prediction: 'dog' }), false],
    ['the same refusal in other words', json({ error: 'a' }, 400), json({ error: 'b' }, 400), true],
    ['an answer and a refusal', infer([1, 2]), json({ error: 'b' }, 400), false],
    ['an error of a server', infer([1, 2]), json({ error: 'b' }, 500), undefined],
    ['JSON that is none', infer([1, 2]), { ...infer([1, 2]), body: Buffer.from('{') }, undefined],
    ['binary tensors', binary([1, 2]), binary([1.0005, 2], 'other'), true],
    ['binary tensors that differ', binary([1, 2]), binary([1, 3]), false],
    [
      'a binary tensor that is cut off',
      binary([1, 2]),
      { ...binary([1, 2]), body: binary([1, 2]).body.subarray(0, -1) },
      undefined,
    ],
    ['binary and JSON of the same numbers', binary([1, 2]), infer([1, 2]), true],
  ])('%s', (_name, one, other, agreed) => {
    expect(answersAgree(one, other, 0.001)).toBe(agreed);
    expect(answersAgree(other, one, 0.001)).toBe(agreed);
  });

  it('other bodies agree to the byte', () => {
    const text = (body: string): Answer => ({
      status: 200,
      contentType: 'text/plain',
      jsonBytes: undefined,
      body: Buffer.from(body),
    });
    expect(answersAgree(text('a'), text('a'), 1)).toBe(true);
    expect(answersAgree(text('1'), text('2'), 1)).toBe(false);
  });
});

describe('values', () => {
  it('every JSON value agrees with itself', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => valuesAgree(value, structuredClone(value), 0)));
  });

  it('numbers agree when they differ by at most the tolerance, absolute or of the larger one, whichever comes first', () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 });
    fc.assert(
      fc.property(number, number, fc.double({ min: 0, max: 0.5, noNaN: true }), (a, b, tolerance) => {
        const difference = Math.abs(a - b);
        const larger = Math.max(Math.abs(a), Math.abs(b));
        expect(valuesAgree(a, b, tolerance)).toBe(
          a === b || difference <= tolerance || difference <= tolerance * larger,
        );
      }),
    );
  });
});
