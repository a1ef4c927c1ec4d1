/**
 * The benchmark of rollouts: canaries with holds and without analysis on kwok nodes, one alone and then many at once; and
 * what a ModelDeployment costs the operator in memory. Routers are played: they acknowledge every route.
 *
 *   node bench/rollouts/run.ts [--count 200] [--hold 30s] [--alone 3] [--models 1000] [--program dist/main.js]
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { bundle } from '../../e2e/bundle.ts';
import type { ModelDeployment } from '../../src/controllers/kinds.ts';
import type { Manifest } from '../../src/runtime/api-client.ts';
import { installCrds } from '../operator/crds.ts';
import { startKwokCluster } from '../operator/kwok-cluster.ts';
import { OperatorProcess } from '../operator/operator-process.ts';
import {
  type Connection,
  connect,
  createNamespace,
  type Followed,
  follow,
  forEach,
  MODEL_DEPLOYMENTS,
  NAMESPACE,
  untilCount,
} from '../operator/workload.ts';
import { PlayedRouters } from './played-routers.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '200' },
    hold: { type: 'string', default: '30s' },
    alone: { type: 'string', default: '3' },
    models: { type: 'string', default: '1000' },
    program: { type: 'string' },
  },
});
const COUNT = Number(values.count);
const ALONE = Number(values.alone);
const MODELS = Number(values.models);
/** ModelDeployments in work at once, as the chart has it. */
const WORKERS = 8;
const CONCURRENCY = 8;
const TIMEOUT_MS = 1_200_000;
const REPLICAS = 2;

const digest = (index: number, version: number): string => `${version}${index.toString(16).padStart(63, '0')}`;
const modelOf = (index: number, version: number) => ({
  uri: `https://models.example.dev/${index}/${version}/model.onnx`,
  sha256: digest(index, version),
});

function canary(index: number): Manifest {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { namespace: NAMESPACE, name: `model-${index}` },
    spec: {
      // Pinned, so that no Job has to find out the digest.
      model: modelOf(index, 1),
      resources: { requests: { cpu: '10m', memory: '16Mi' } },
      replicas: REPLICAS,
      rollout: {
        strategy: 'Canary',
        steps: [
          { smoke: {} },
          { weight: 10, hold: values.hold, analyse: [] },
          { weight: 50, hold: values.hold, analyse: [] },
        ],
      },
    },
  };
}

const serves =
  (version: number) =>
  ({ metadata, status }: ModelDeployment): boolean =>
    status?.phase === 'Ready' &&
    status.observedGeneration === metadata.generation &&
    status.model?.sha256?.startsWith(String(version)) === true;

const range = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from }, (_, index) => from + index);

class Bench {
  readonly #client: Connection['client'];
  readonly #models: Followed<ModelDeployment>;

  constructor(client: Connection['client'], models: Followed<ModelDeployment>) {
    this.#client = client;
    this.#models = models;
  }

  async create(indexes: readonly number[]): Promise<number> {
    const names = new Set(indexes.map((index) => `model-${index}`));
    const isDone = (object: ModelDeployment) => names.has(object.metadata.name) && serves(1)(object);
    const [tookMs] = await Promise.all([
      untilCount(this.#models, indexes.length, isDone, TIMEOUT_MS),
      forEach(indexes, CONCURRENCY, async (index) => {
        await this.#client.create(MODEL_DEPLOYMENTS, canary(index));
      }),
    ]);
    return tookMs;
  }

  /** Milliseconds from the first change until the last rollout is complete. */
  async rollOut(indexes: readonly number[], version: number): Promise<number> {
    const names = new Set(indexes.map((index) => `model-${index}`));
    const isDone = (object: ModelDeployment) => names.has(object.metadata.name) && serves(version)(object);
    const [tookMs] = await Promise.all([
      untilCount(this.#models, indexes.length, isDone, TIMEOUT_MS),
      forEach(indexes, CONCURRENCY, async (index) => {
        const name = { namespace: NAMESPACE, name: `model-${index}` };
        await this.#client.mergePatch(MODEL_DEPLOYMENTS, name, { spec: { model: modelOf(index, version) } });
      }),
    ]);
    return tookMs;
  }
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const kilobytes = (bytes: number): string => `${Math.round(bytes / 1e3)} kB`;
const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

async function measure(program: string): Promise<readonly (readonly [string, string, string])[]> {
  const cluster = await startKwokCluster();
  const connection = await connect(cluster.kubeconfigPath);
  const { client } = connection;
  const routers = new PlayedRouters(client);
  let operator: OperatorProcess | undefined;
  try {
    await installCrds(client);
    await createNamespace(client);
    await routers.start();
    operator = await OperatorProcess.start(program, cluster, WORKERS);
    const models = await follow(client, MODEL_DEPLOYMENTS);
    const bench = new Bench(client, models);
    console.log(`${COUNT} ModelDeployments Ready after ${seconds(await bench.create(range(0, COUNT)))}`);
    await operator.atRest(3_000);
    const few = await operator.memory();

    const alone: number[] = [];
    for (let round = 0; round < ALONE; round++) {
      alone.push(await bench.rollOut([0], 2 + round));
      console.log(`one canary alone: ${seconds(alone.at(-1) ?? 0)}`);
    }
    const before = { ...(await operator.requests()), cpuSeconds: await operator.cpuSeconds() };
    const allMs = await Promise.race([bench.rollOut(range(0, COUNT), 2 + ALONE), operator.ended()]);
    await operator.atRest(3_000);
    const after = { ...(await operator.requests()), cpuSeconds: await operator.cpuSeconds() };
    console.log(`${COUNT} canaries at once: ${seconds(allMs)}`);

    console.log(`${MODELS} ModelDeployments Ready after ${seconds(await bench.create(range(COUNT, MODELS)))} more`);
    await operator.atRest(3_000);
    const many = await operator.memory();
    await models.stop();
    const each = (bytes: (memory: typeof few) => number) => (bytes(many) - bytes(few)) / (MODELS - COUNT);
    return [
      [`one canary alone, holds of ${values.hold} at 10 and 50%`, seconds(median(alone)), ''],
      [`${COUNT} canaries at once`, seconds(allMs), ''],
      ['ratio', (allMs / median(alone)).toFixed(2), '<= 1.5'],
      ['writes a canary, but the lease', ((after.writes - before.writes) / COUNT).toFixed(1), ''],
      ['operator CPU time a canary', `${(((after.cpuSeconds - before.cpuSeconds) / COUNT) * 1e3).toFixed(0)} ms`, ''],
      [
        `resident at rest with ${COUNT} and with ${MODELS}`,
        `${megabytes(few.residentBytes)}, ${megabytes(many.residentBytes)}`,
        '',
      ],
      ['resident memory a ModelDeployment', kilobytes(each(({ residentBytes }) => residentBytes)), '< 150 kB'],
      ['heap in use a ModelDeployment', kilobytes(each(({ heapBytes }) => heapBytes)), ''],
    ];
  } finally {
    await operator?.stop();
    await routers.stop();
    await connection.close();
    await cluster.stop();
  }
}

const bundled = values.program === undefined ? await bundle() : undefined;
try {
  const rows = await measure(values.program ?? bundled?.program ?? '');
  console.log(`\n${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, everything on this machine`);
  for (const [what, figure, aim] of rows) console.log(`${what.padEnd(56)} ${figure.padStart(16)}  ${aim}`);
} finally {
  await bundled?.remove();
}
