import { describe, expect, test } from 'vitest';
import { askingFor, asksToInfer } from './model-path.ts';

describe('a path that asks another model the same', () => {
  test.each([
    ['/v2/models/churn/infer', '/v2/models/backup/infer'],
    ['/v2/models/churn/infer?id=1/2', '/v2/models/backup/infer?id=1/2'],
    ['/v2/models/churn/versions/7/infer', '/v2/models/backup/infer'],
    ['/v2/models/churn/versions/7', '/v2/models/backup'],
    ['/v2/models/ch%75rn%2Fx/ready', '/v2/models/backup/ready'],
    ['/v2/models/versions/versions/7/ready', '/v2/models/backup/ready'],
    ['/v2/models/churn/', '/v2/models/backup/'],
    ['/predict/churn', '/predict/backup'],
    ['/batch_predict/churn/versions/7?id=1', '/batch_predict/backup?id=1'],
  ])('%s becomes %s', (path, expected) => {
    expect(askingFor('backup', path)).toBe(expected);
  });

  test.each([
    '/',
    '*',
    '/v2',
    '/v2/models/',
    '/v2/models//infer',
    '/v2/health/ready',
    '/predict',
    '/predict?model=churn',
    '/v1/models/churn:predict',
    '/x/v2/models/churn/infer',
  ])('%s names no model and stays as it is', (path) => {
    expect(askingFor('backup', path)).toBe(path);
  });

  test('has the name percent-encoded where it has to be', () => {
    expect(askingFor('a/b c', '/v2/models/churn/infer')).toBe('/v2/models/a%2Fb%20c/infer');
  });
});

test.each([
  ['/v2/models/churn/infer', true],
  ['/v2/models/churn/versions/7/infer/?id=1', true],
  ['/v2/models/churn', false],
  ['/v2/models/infer', false],
  ['/v2/models/churn/infer/more', false],
  ['/predict/infer', false],
])('whether %s asks for the answer to tensors: %s', (path, expected) => {
  expect(asksToInfer(path)).toBe(expected);
});
