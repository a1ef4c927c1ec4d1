import { beforeAll, describe, expect, it } from 'vitest';
import { inferByGrpc } from '../client/grpc.ts';
import { type InferResponse, inferRows } from '../client/rest.ts';
import { waitFor } from '../cluster/wait.ts';
import { kubectl, modelDeployment, startModelStore, storeUri, untilReady, useNamespace } from '../environment.ts';
import { readModel } from '../model-store.ts';
import { breastCancer } from '../models/data.ts';

/** Its model fails for some patients. */
const FAILING = 'breast-cancer-failing.onnx';
const SOON = { timeoutMs: 60_000 };
const data = breastCancer();
const expected = (model: string, row: number) => data.expected[model]?.probabilities[row] ?? [];
/** A patient for whom it does, and one for whom it does not. */
const [FAILS, WORKS] = [15, 0];
const rowOf = (patient: number) => [data.rows[patient] ?? []];
const probabilities = ({ outputs }: InferResponse) => outputs.find(({ name }) => name === 'probabilities')?.data ?? [];
const near = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 4));

describe('other models answer', () => {
  const namespace = useNamespace('e2e-other-models');

  beforeAll(async () => {
    await startModelStore(namespace, { [FAILING]: readModel(FAILING) });
    await kubectl().apply(
      modelDeployment(namespace, 'backup', { model: { uri: storeUri(namespace, 'breast-cancer-v2.onnx') } }),
      modelDeployment(namespace, 'failing', {
        model: { uri: storeUri(namespace, FAILING) },
        traffic: { fallback: { modelDeploymentRef: { name: 'backup' } } },
      }),
      modelDeployment(namespace, 'pair', {
        traffic: { ensemble: { combine: 'Average', members: [{ name: 'backup', weight: 3 }] } },
      }),
    );
    for (const name of ['backup', 'failing', 'pair']) {
      await untilReady(namespace, name);
      await waitFor(
        `routers before ${name}`,
        async () => {
          const { spec } = await kubectl().get('service', namespace, name);
          const component = spec.selector['app.kubernetes.io/component'];
          return component === 'router' ? (true as const) : `its Service leads to ${JSON.stringify(spec.selector)}`;
        },
        SOON,
      );
    }
  });

  /** Asks by the Service of a ModelDeployment, as its clients do. */
  async function asking<T>(name: string, port: number, ask: (address: string) => Promise<T>): Promise<T> {
    const forward = await kubectl().portForward(`service/${name}`, namespace, port);
    try {
      return await ask(`127.0.0.1:${forward.port}`);
    } finally {
      forward.close();
    }
  }

  const byRest = (name: string, patient: number) =>
    asking(name, 80, (address) => inferRows(`http://${address}`, name, rowOf(patient)));

  it('in place of one that errs, and say so; where it does not err it answers itself', async () => {
    const answer = await byRest('failing', FAILS);
    expect([answer.model_name, probabilities(answer)]).toEqual(['backup', near(expected('breast-cancer-v2', FAILS))]);
    expect((await byRest('failing', WORKS)).model_name).toBe('failing');
  });

  it('in place of one that errs over gRPC', async () => {
    const labels = await asking('failing', 9000, (address) => inferByGrpc(address, 'failing', rowOf(FAILS)));
    expect(labels).toEqual([data.expected['breast-cancer-v2']?.label[FAILS]]);
  });

  it('together with one, as an ensemble under its name', async () => {
    const [own, other] = [expected('breast-cancer-v1', WORKS), expected('breast-cancer-v2', WORKS)];
    const mean = own.map((value, index) => (value + 3 * (other[index] ?? 0)) / 4);
    const answer = await byRest('pair', WORKS);
    expect([answer.model_name, probabilities(answer)]).toEqual(['pair', near(mean)]);
  });

  it('to tensors alone, as an ensemble, which says how to ask', async () => {
    const body = JSON.stringify({ instances: rowOf(WORKS) });
    const answer = await asking('pair', 80, async (address) => {
      const response = await fetch(`http://${address}/predict`, { method: 'POST', body });
      return [response.status, await response.text()];
    });
    expect(answer).toEqual([501, expect.stringContaining('/v2/models/MODEL/infer')]);
  });

  it('in place of one that has no pod', async () => {
    await kubectl().run(['scale', 'md', 'failing', '-n', namespace, '--replicas=0']);
    await waitFor(
      'an answer of the fallback',
      async () => {
        const answer = await byRest('failing', WORKS);
        return answer.model_name === 'backup' ? (true as const) : `${answer.model_name} answers`;
      },
      SOON,
    );
  });
});
