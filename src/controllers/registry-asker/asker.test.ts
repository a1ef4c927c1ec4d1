import { describe, expect, test } from 'vitest';
import type { ModelDeploymentSpec } from '../../api/v1alpha1/model-deployment.ts';
import type { ModelDeployment } from '../kinds.ts';
import { publishedAnswer } from './answer.ts';
import { answerKey, askerId, askersOf, asksOutside, failureKey } from './asker.ts';

const IMAGE = 'example.com/fairlead:1';
const deployment = (
  name: string,
  model: Partial<ModelDeploymentSpec['model']> = {},
  pod?: ModelDeploymentSpec['pod'],
): ModelDeployment => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: { name, namespace: 'shop', uid: `uid-${name}` },
  spec: {
    model: { uri: 'models:/churn@champion', endpoint: 'http://mlflow:5000', ...model },
    rollout: { strategy: 'Rolling' },
    ...(pod && { pod }),
  } as ModelDeploymentSpec,
});
const configOf = (users: readonly ModelDeployment[]) =>
  askersOf(users, IMAGE).map(({ podSpec }) => {
    const variable = podSpec.containers[0]?.env?.find(({ name }) => name === 'FAIRLEAD_REGISTRY_CONFIG');
    return JSON.parse(variable?.value ?? '');
  });

describe('models of an outside registry', () => {
  test.each([
    ['models:/churn@champion', true],
    ['models:/churn/7', true],
    ['s3://models/churn/', false],
  ])('%s is one: %s', (uri, expected) => {
    expect(asksOutside(deployment('a', { uri }))).toBe(expected);
  });
});

describe('one pod asks', () => {
  test('for all that reach the same server in the same way, each question once', () => {
    const users = [deployment('a'), deployment('b'), deployment('c', { uri: 'models:/fraud/3' })];
    const [config, ...others] = configOf(users);
    expect(others).toEqual([]);
    expect(config).toMatchObject({
      endpoint: 'http://mlflow:5000',
      questions: [{ uri: 'models:/churn@champion' }, { uri: 'models:/fraud/3' }],
    });
  });

  test.each([
    ['server', deployment('b', { endpoint: 'http://other:5000' })],
    ['credentials', deployment('b', { credentialsRef: { name: 'mlflow' } })],
    ['account', deployment('b', {}, { serviceAccountName: 'reader' })],
    ['environment', deployment('b', {}, { env: [{ name: 'HTTPS_PROXY', value: 'http://proxy' }] })],
  ])('not for those with another %s', (_title, other) => {
    const askers = askersOf([deployment('a'), other], IMAGE);
    expect(askers.map(({ users }) => users.length)).toEqual([1, 1]);
    expect(new Set(askers.map(({ name }) => name)).size).toBe(2);
  });

  test('under an account of its own, or the one that the user names', () => {
    const accounts = (user: ModelDeployment) =>
      askersOf([user], IMAGE).map(({ serviceAccountName }) => serviceAccountName);
    expect(accounts(deployment('a'))).toEqual(['fairlead-registry']);
    expect(accounts(deployment('a', {}, { serviceAccountName: 'reader' }))).toEqual(['reader']);
  });

  test('with the credentials as environment, which only the kubelet reads', () => {
    const [asker] = askersOf([deployment('a', { credentialsRef: { name: 'mlflow' } })], IMAGE);
    expect(asker?.podSpec.containers[0]).toMatchObject({ image: IMAGE, envFrom: [{ secretRef: { name: 'mlflow' } }] });
    expect(asker?.podSpec.automountServiceAccountToken).toBe(true);
  });

  test('whose image is pulled with the pull secrets of those that it asks for, which have to be the same', () => {
    const opened = (secret: string) => deployment(secret, {}, { imagePullSecrets: [{ name: secret }] });
    const askers = askersOf([opened('mirror'), opened('other')], IMAGE);
    expect(askers.map(({ podSpec }) => podSpec.imagePullSecrets?.[0]?.name).sort()).toEqual(['mirror', 'other']);
  });

  test('and stays the same one after an upgrade of Fairlead', () => {
    const names = (image: string) => askersOf([deployment('a')], image).map(({ name }) => name);
    expect(names('example.com/fairlead:2')).toEqual(names(IMAGE));
  });
});

describe('a published answer', () => {
  const user = deployment('a');
  const id = askerId(user);
  const configMap = (data: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'x' },
    data,
  });
  const key = answerKey(id, 'models:/churn@champion');

  test('is found by who asked for whom', () => {
    const answer = { kind: 'found', version: '7', uri: 's3://m/7/' } as const;
    const failure = { reason: 'SourceUnreachable', message: 'refused' } as const;
    const data = { [key]: JSON.stringify(answer), [failureKey(id)]: JSON.stringify(failure) };
    expect(publishedAnswer(user, configMap(data))).toEqual({ answer, failure });
    const other = deployment('b', { uri: 'models:/churn@challenger' });
    expect(publishedAnswer(other, configMap(data))).toEqual({ answer: undefined, failure });
  });

  test.each([
    '',
    'not JSON',
    '[]',
    '{"kind":"found","version":7,"uri":"s3://m/7/"}',
    '{"kind":"found","version":"7","uri":"x","more":1}',
  ])('that is no answer (%s) counts as none', (text) => {
    expect(publishedAnswer(user, configMap({ [key]: text })).answer).toBeUndefined();
  });
});
