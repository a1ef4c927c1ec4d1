import { beforeAll, describe, expect, it } from 'vitest';
import { inferByGrpc } from '../client/grpc.ts';
import { inferRows, predictions } from '../client/rest.ts';
import {
  kubectl,
  modelDeployment,
  podsOf,
  startModelStore,
  storeUri,
  until,
  untilReady,
  useNamespace,
} from '../environment.ts';
import { readModel, sha256 } from '../model-store.ts';
import { breastCancer } from '../models/data.ts';

const NAME = 'breast-cancer';
const data = breastCancer();
const expected = data.expected['breast-cancer-v1'];

describe('a ModelDeployment serves real predictions', () => {
  const namespace = useNamespace('e2e-serves');

  beforeAll(async () => {
    await startModelStore(namespace);
    await kubectl().apply(modelDeployment(namespace, NAME, { replicas: 2 }));
    await untilReady(namespace, NAME);
  });

  it('answers every held-out row over REST as the training library does', async () => {
    const forward = await kubectl().portForward(`service/${NAME}`, namespace, 80);
    try {
      const answers = predictions(await inferRows(`http://127.0.0.1:${forward.port}`, NAME, data.rows));
      expect(answers.map((answer) => answer.label)).toEqual(expected?.label);
      answers.forEach((answer, row) => {
        expect(answer.probability).toBeCloseTo(expected?.probabilities[row]?.[answer.label] ?? Number.NaN, 4);
      });
    } finally {
      forward.close();
    }
  });

  it('answers the same over gRPC with binary tensors', async () => {
    const forward = await kubectl().portForward(`service/${NAME}`, namespace, 9000);
    try {
      expect(await inferByGrpc(`127.0.0.1:${forward.port}`, NAME, data.rows)).toEqual(expected?.label);
    } finally {
      forward.close();
    }
  });

  it('says in status which bytes it serves, where, and on how many pods', async () => {
    const uri = storeUri(namespace, 'breast-cancer-v1.onnx');
    expect((await kubectl().get('md', namespace, NAME)).status).toMatchObject({
      phase: 'Ready',
      address: { http: `http://${NAME}.${namespace}.svc`, grpc: `${NAME}.${namespace}.svc:9000` },
      model: { uri, sha256: sha256(readModel('breast-cancer-v1.onnx')) },
      stable: { replicas: 2, ready: 2 },
      replicas: 2,
      readyReplicas: 2,
    });
  });

  it('shows what matters in kubectl get', async () => {
    const [headings, row] = (await kubectl().run(['get', 'md', '-n', namespace])).trimEnd().split('\n');
    expect(headings?.split(/\s{2,}/).map((heading) => heading.trim())).toEqual([
      'NAME',
      'READY',
      'PHASE',
      'MODEL',
      'STEP',
      'WEIGHT',
      'VERDICT',
      'REPLICAS',
      'URL',
      'AGE',
    ]);
    expect(row).toMatch(/^breast-cancer\s+True\s+Ready\s+breast-cancer\S*\s.*\s2\/2\s+http:\/\/breast-cancer\./);
  });

  it('scales by kubectl scale, and status follows', async () => {
    await kubectl().run(['scale', 'md', NAME, '-n', namespace, '--replicas=3']);
    await until(namespace, NAME, ({ status }) => status.phase === 'Ready' && status.readyReplicas === 3);
    const pods = (await podsOf(namespace, NAME)).filter((pod) => pod.metadata.deletionTimestamp === undefined);
    expect(pods).toHaveLength(3);
  });

  it('leaves nothing behind when it is deleted', async () => {
    await kubectl().delete('md', namespace, NAME);
    const kinds = 'deployments,services,hpa,pdb,serviceaccounts,jobs,pods';
    for (const kind of kinds.split(',')) {
      await kubectl().run([
        'wait',
        '--for=delete',
        kind,
        '-n',
        namespace,
        '-l',
        `fairlead.dev/model-deployment=${NAME}`,
        // A pod that is told to end while its process starts lasts for its grace period of 60 s.
        '--timeout=90s',
      ]);
    }
  });
});
