import { describe, expect, it } from 'vitest';
import { CannotCombine, combineOutputs, type MemberOutputs, writeOutputs } from './combine.ts';
import type { Output, Scalar } from './outputs.ts';

const output = (values: readonly Scalar[], datatype: Output['datatype'] = 'FP32', name = 'y'): Output => ({
  name,
  datatype,
  shape: [values.length],
  values,
});
const member = (weight: number, ...outputs: readonly Output[]): MemberOutputs => ({
  revision: `m-${weight}`,
  weight,
  outputs,
});

describe('Average', () => {
  it('is the mean by weight, position by position', () => {
    const [combined] = combineOutputs([member(3, output([1, 10])), member(1, output([5, 30]))], 'Average');
    expect(combined).toEqual(output([2, 15]));
  });

  it('of integers is FP64, also of those beyond doubles', () => {
    const [combined] = combineOutputs([member(1, output([1n], 'INT64')), member(1, output([2n], 'INT64'))], 'Average');
    expect(combined).toEqual(output([1.5], 'FP64'));
  });

  it('says what is no number as JSON can', () => {
    const [combined] = combineOutputs([member(1, output(['NaN', 'Infinity'])), member(1, output([1, 1]))], 'Average');
    expect(combined?.values).toEqual(['NaN', 'Infinity']);
  });

  it('leaves out labels', () => {
    const outputs = [output([0.5]), output(['cat'], 'BYTES', 'label')];
    expect(combineOutputs([member(1, ...outputs), member(1, ...outputs)], 'Average').map(({ name }) => name)).toEqual([
      'y',
    ]);
  });
});

describe('Vote', () => {
  const label = (value: string) => output([value], 'BYTES');

  it('the label with the most weight wins, not the one with the most votes', () => {
    const members = [member(1, label('cat')), member(1.5, label('cat')), member(3, label('dog'))];
    expect(combineOutputs(members, 'Vote')[0]?.values).toEqual(['dog']);
  });

  it('of labels with equal weight the first member’s wins', () => {
    expect(combineOutputs([member(1, label('b')), member(1, label('a'))], 'Vote')[0]?.values).toEqual(['b']);
  });

  it('takes integers and booleans and leaves out floats', () => {
    const outputs = [output([1, 2], 'INT64', 'class'), output([true], 'BOOL', 'flag'), output([0.5])];
    const combined = combineOutputs([member(1, ...outputs), member(1, ...outputs)], 'Vote');
    expect(combined.map(({ name, datatype }) => `${name} ${datatype}`)).toEqual(['class INT64', 'flag BOOL']);
  });
});

describe('members that do not fit', () => {
  it.each([
    ['a missing output', [member(1, output([1])), member(2, output([1], 'FP32', 'z'))], /m-2 has no output y/],
    ['another shape', [member(1, output([1])), member(2, output([1, 2]))], /FP32 \[1\] of m-1, but FP32 \[2\] of m-2/],
    ['another datatype', [member(1, output([1])), member(2, output([1], 'FP64'))], /but FP64 \[1\] of m-2/],
    [
      'fewer values than the shape says',
      [member(1, output([1, 2])), member(2, { ...output([1]), shape: [2] })],
      /has 1 values/,
    ],
    [
      'nothing that can be averaged',
      [member(1, output(['cat'], 'BYTES'))],
      /Average takes numbers; the outputs are y \(BYTES\)/,
    ],
  ])('%s is refused and named', (_name, members, message) => {
    expect(() => combineOutputs(members, 'Average')).toThrow(CannotCombine);
    expect(() => combineOutputs(members, 'Average')).toThrow(message);
  });
});

it('is written as the protocol has it, with every digit of long integers', () => {
  const text = writeOutputs('churn', [output([2n ** 62n], 'INT64'), output(['a"b'], 'BYTES', 'l')]);
  expect(text).toBe(
    '{"model_name":"churn","outputs":[{"name":"y","datatype":"INT64","shape":[1],"data":[4611686018427387904]},{"name":"l","datatype":"BYTES","shape":[1],"data":["a\\"b"]}]}',
  );
});
