import { describe, expect, test } from 'vitest';
import { type ModelRegistry, type RegistryAnswer, RegistryUnavailableError } from '../api/registry-answers.ts';
import { silentLogger } from '../runtime/testing/cluster.ts';
import { FakeClock } from '../runtime/testing/fake-clock.ts';
import { Asking } from './asking.ts';

const found = (version: string): RegistryAnswer => ({ kind: 'found', version, uri: `s3://m/${version}/` });

/** A registry that is asked, and the ConfigMap that is written. */
function scene(...models: readonly string[]) {
  const clock = new FakeClock();
  const answers = new Map<string, RegistryAnswer | RegistryUnavailableError>(
    models.map((model) => [model, found('1')]),
  );
  const asked: string[] = [];
  const writes: Record<string, string | null>[] = [];
  const registry: ModelRegistry = {
    find: async ({ model }) => {
      asked.push(model);
      const answer = answers.get(model);
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error('a bug');
      return answer;
    },
  };
  const asking = new Asking({
    config: {
      questions: models.map((model) => ({ uri: `models:/${model}@champion`, key: `answer-${model}` })),
      failureKey: 'failure',
    },
    registry,
    publish: async (data) => {
      writes.push(data);
    },
    clock,
    random: () => 0.5,
    logger: silentLogger,
  });
  return { clock, answers, asked, writes, asking };
}

const down = new RegistryUnavailableError('SourceUnreachable', 'MLflow at http://m: refused');

describe('what asks a registry', () => {
  test('publishes an answer once, and again when it differs', async () => {
    const { asking, answers, writes } = scene('churn', 'fraud');
    await asking.round();
    await asking.round();
    expect(writes).toEqual([
      { 'answer-churn': JSON.stringify(found('1')), 'answer-fraud': JSON.stringify(found('1')), failure: null },
    ]);
    answers.set('churn', found('2'));
    await asking.round();
    expect(writes[1]).toEqual({ 'answer-churn': JSON.stringify(found('2')) });
  });

  test('asks about every fifteen seconds, and less and less often while there is no answer', async () => {
    const { asking, answers } = scene('churn');
    expect(await asking.round()).toBe(15_000);
    answers.set('churn', down);
    const waits = [];
    for (let round = 0; round < 10; round++) waits.push(await asking.round());
    expect(waits[0]).toBeGreaterThanOrEqual(2_500);
    expect(waits.toSorted((a, b) => a - b)).toEqual(waits);
    expect(waits.at(-1)).toBeLessThanOrEqual(300_000);
    answers.set('churn', found('1'));
    expect(await asking.round()).toBe(15_000);
  });

  test('waits for as long as the server asks for', async () => {
    const { asking, answers } = scene('churn');
    answers.set('churn', new RegistryUnavailableError('SourceUnreachable', '429', 120_000));
    expect(await asking.round()).toBe(120_000);
  });

  test('waits no longer than when there is no answer, whatever the server asks for', async () => {
    const { asking, answers } = scene('churn');
    answers.set('churn', new RegistryUnavailableError('SourceUnreachable', '503', 86_400_000));
    expect(await asking.round()).toBe(300_000);
  });

  test('keeps the last answer while there is none, and tells why after three rounds until there is one', async () => {
    const { asking, answers, writes } = scene('churn');
    await asking.round();
    answers.set('churn', down);
    await asking.round();
    await asking.round();
    expect(writes).toHaveLength(1);
    await asking.round();
    expect(writes[1]).toEqual({ failure: JSON.stringify({ reason: 'SourceUnreachable', message: down.message }) });
    answers.set('churn', found('1'));
    await asking.round();
    expect(writes[2]).toEqual({ failure: null });
  });

  test('asks the others first where one cannot be answered', async () => {
    const { asking, answers, asked, writes } = scene('broken', 'churn', 'fraud');
    answers.set('broken', down);
    await asking.round();
    await asking.round();
    expect(asked).toEqual(['broken', 'churn', 'fraud', 'broken']);
    expect(writes.at(-1)).toMatchObject({ 'answer-churn': JSON.stringify(found('1')) });
  });

  test('writes everything again after a while, in case someone took it away', async () => {
    const { asking, clock, writes } = scene('churn');
    await asking.round();
    await clock.advance(300_000);
    await asking.round();
    expect(writes[1]).toEqual(writes[0]);
  });

  test('writes again what could not be written', async () => {
    const { clock, writes } = scene();
    let refusals = 1;
    const asking = new Asking({
      config: { questions: [{ uri: 'models:/churn@champion', key: 'answer' }], failureKey: 'failure' },
      registry: { find: async () => found('1') },
      publish: async (data) => {
        if (refusals-- > 0) throw new Error('404: the ConfigMap is not there yet');
        writes.push(data);
      },
      clock,
      random: () => 0.5,
      logger: silentLogger,
    });
    await expect(asking.round()).rejects.toThrow('not there yet');
    await asking.round();
    expect(writes).toHaveLength(1);
  });
});
