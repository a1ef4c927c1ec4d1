import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import winston from 'winston';
import { resolveModel } from './resolve-model.ts';

const bytes = Buffer.from('a model');
const sha256 = createHash('sha256').update(bytes).digest('hex');
let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fairlead-resolve-'));
  await writeFile(join(root, 'churn.mar'), bytes);
  await mkdir(join(root, 'saved', 'variables'), { recursive: true });
  await writeFile(join(root, 'saved', 'saved_model.pb'), 'graph');
  await writeFile(join(root, 'saved', 'variables', 'index'), 'weights');
});
afterEach(() => rm(root, { recursive: true }));

const resolve = (name: string, options: { expected?: string; output?: string } = {}) =>
  resolveModel({
    uri: `file://${join(root, name)}`,
    pvcRoot: '/mnt/pvc',
    credentials: { httpBearerToken: undefined, registryUsername: undefined, registryPassword: undefined },
    logger: winston.createLogger({ silent: true }),
    signal: new AbortController().signal,
    ...options,
  });
const outputs = () => readdir(join(root, 'out')).catch(() => []);

describe('a model is read once', () => {
  test('and only its digest is told', async () => {
    expect(await resolve('churn.mar')).toEqual({ sha256, sizeBytes: 7 });
  });

  test('and a file is kept under the name that is asked for', async () => {
    await resolve('churn.mar', { expected: sha256, output: join(root, 'out', 'churn.mar') });
    expect(await readFile(join(root, 'out', 'churn.mar'))).toEqual(bytes);
    expect(await outputs()).toEqual(['churn.mar']);
  });

  test('and a directory is kept as it is, without any file of a name that is ours', async () => {
    await resolve('saved', { output: join(root, 'out', 'saved') });
    expect(await readFile(join(root, 'out', 'saved', 'variables', 'index'), 'utf8')).toBe('weights');
  });

  test('and replaces a copy that an attempt before left', async () => {
    for (let attempt = 0; attempt < 2; attempt++) await resolve('saved', { output: join(root, 'out', 'saved') });
    expect(await outputs()).toEqual(['saved']);
  });

  test('and nothing is left of one with another digest than is wanted', async () => {
    const output = join(root, 'out', 'churn.mar');
    await expect(resolve('churn.mar', { expected: 'f'.repeat(64), output })).rejects.toMatchObject({
      reason: 'DigestMismatch',
    });
    expect(await outputs()).toEqual([]);
  });
});
