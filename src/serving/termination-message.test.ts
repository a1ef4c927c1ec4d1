import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LoadFailure } from './models/failure.ts';
import { terminationMessage } from './termination-message.ts';

describe('a termination message', () => {
  test('says why a model could not be loaded, or that something else failed', () => {
    const { json } = terminationMessage(new LoadFailure('ModelNotFound', 'no such file'));
    expect(JSON.parse(json)).toEqual({ reason: 'ModelNotFound', message: 'no such file' });
    expect(terminationMessage(new TypeError('x is null'))).toMatchObject({
      reason: 'LoadFailed',
      message: 'x is null',
    });
  });

  test.each([
    ['of three bytes each', '模'],
    ['of a surrogate pair each', '😀'],
    ['that JSON escapes', '\u0001'],
    ['in quotes', '"'],
  ])('stays JSON within the 4096 bytes that the kubelet keeps, whatever its characters: %s', (_title, unit) => {
    const { json } = terminationMessage(new Error(`the model ${unit.repeat(5_000)}`));
    expect(Buffer.byteLength(json)).toBeLessThan(4_096);
    expect(Buffer.byteLength(json)).toBeGreaterThan(4_096 - 12);
    expect(JSON.parse(json).message).toMatch(/^the model/);
  });

  test('keeps the whole of what fits', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 600, unit: 'grapheme' }), (text) => {
        expect(JSON.parse(terminationMessage(new Error(text)).json).message).toBe(text);
      }),
    );
  });
});
