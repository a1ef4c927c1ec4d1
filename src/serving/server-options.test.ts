import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { compileOptions, type ServerFlags } from './server-options.ts';

const flags: ServerFlags = {
  model: [],
  httpPort: '8080',
  grpcPort: '9000',
  metricsPort: '9090',
  modelDir: '/models',
  pvcRoot: '/mnt/pvc',
  maxBatchSize: '32',
  maxDelay: '0',
  maxQueueSize: '1024',
  maxRequestSize: '67108864',
  drainDelay: '5s',
  grace: '30s',
};
const config = (fields: object = {}) => JSON.stringify({ models: [{ name: 'm', uri: 'file:///m.onnx' }], ...fields });

test('models come from flags, with versions where they are named', () => {
  const { config: compiled } = compileOptions({ ...flags, model: ['a=s3://b/c', 'a@2=file:///x=y.onnx'] }, undefined);
  expect(compiled.models).toEqual([
    { name: 'a', uri: 's3://b/c' },
    { name: 'a', version: '2', uri: 'file:///x=y.onnx' },
  ]);
});

test('models come from the environment or a file, whose own limits win', () => {
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-options-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'config.json');
  writeFileSync(path, config({ maxRequestBytes: 10, device: 'gpu' }));
  expect(compileOptions({ ...flags, config: path }, undefined)).toMatchObject({ maxRequestBytes: 10, device: 'gpu' });
  expect(compileOptions(flags, config())).toMatchObject({
    maxRequestBytes: 67_108_864,
    device: 'cpu',
    drainDelayMs: 5000,
  });
});

test('integers in examples keep every digit', () => {
  const text = config().replace(
    '"uri"',
    '"examples":[{"inputs":[{"name":"x","shape":[1],"data":[9007199254740993]}]}],"uri"',
  );
  expect(compileOptions(flags, text).config.models[0]?.examples?.[0]?.inputs[0]?.data).toEqual([9007199254740993n]);
});

test.each([
  ['no model', {}, undefined, /no model to serve: give --model NAME=URI/],
  ['models given twice', { model: ['a=file:///a'] }, config(), /given twice, by --model and by FAIRLEAD_SERVER_CONFIG/],
  ['the same model twice', { model: ['a=file:///a', 'a=file:///b'] }, undefined, /model a is configured twice/],
  ['a model without URI', { model: ['a'] }, undefined, /--model a: expected NAME=URI/],
  [
    'a port that is none',
    { model: ['a=file:///a'], httpPort: '70000' },
    undefined,
    /--http-port 70000: expected an integer from 0 to 65535/,
  ],
  [
    'a duration without unit',
    { model: ['a=file:///a'], drainDelay: '5' },
    undefined,
    /--drain-delay: "5" is not a duration such as 2ms/,
  ],
  [
    'a grace that ends before the drain delay and what follows it',
    { model: ['a=file:///a'], drainDelay: '5s', grace: '6s' },
    undefined,
    /--grace 6s: must be at least 2000 ms more than --drain-delay 5s/,
  ],
  ['a batch size of 0', { model: ['a=file:///a'], maxBatchSize: '0' }, undefined, /--max-batch-size 0/],
  ['a missing file', { config: '/none/such' }, undefined, /--config \/none\/such: no such file/],
  ['no JSON', {}, '{', /FAIRLEAD_SERVER_CONFIG: the body is not JSON/],
  ['no models in the configuration', {}, '{"models":[]}', /FAIRLEAD_SERVER_CONFIG: \/models/],
  ['a field of the wrong type', {}, config({ maxRequestBytes: '1' }), /\/maxRequestBytes must be integer/],
  ['an unknown field', {}, config({ batching: 1 }), /must not have additional properties \(batching\)/],
  ['an unknown device', {}, config({ device: 'tpu' }), /\/device/],
])('%s is refused by name before anything starts', (_, given, environment, message) => {
  expect(() => compileOptions({ ...flags, ...given }, environment)).toThrow(message);
  expect(() => compileOptions({ ...flags, ...given }, environment)).toThrow(
    expect.objectContaining({ reason: 'InvalidConfiguration' }),
  );
});

test.each([
  'https://user:s3cret@host/m.onnx',
  '=https://user:s3cret@host/m.onnx',
  'team/churn=https://user:s3cret@host/m.onnx',
  'user:s3cret@host/m.onnx',
])('--model %s is refused without its password, which would stand in a log', (model) => {
  const refused = { reason: 'InvalidConfiguration', message: expect.stringMatching(/^--model ((?!s3cret).)*$/) };
  expect(() => compileOptions({ ...flags, model: [model] }, undefined)).toThrow(expect.objectContaining(refused));
});

test.each([
  ['2ms', 2],
  ['1m30s', 90_000],
  ['0.5s', 500],
  ['0', 0],
])('the duration %s is %i ms', (maxDelay, expected) => {
  expect(compileOptions({ ...flags, model: ['a=file:///a'], maxDelay }, undefined).maxDelayMs).toBe(expected);
});
