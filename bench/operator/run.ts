/**
 * The operator's benchmark: N ModelDeployments on kwok nodes beside a plain script that makes the same child objects with
 * the same client and concurrency; then the operator at rest, through forced resyncs, and on single changes.
 *
 *   node bench/operator/run.ts [--count 1000] [--rounds 1] [--program dist/main.js]
 */
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { bundle } from '../../e2e/bundle.ts';
import { milliseconds, quantile } from '../quantile.ts';
import { installCrds } from './crds.ts';
import { type KwokCluster, startKwokCluster } from './kwok-cluster.ts';
import { OperatorProcess, RESYNC_MINUTES } from './operator-process.ts';
import {
  type Child,
  type Connection,
  connect,
  createNamespace,
  DEPLOYMENTS,
  follow,
  forEach,
  hasReadyPhase,
  isReady,
  MODEL_DEPLOYMENTS,
  modelDeployment,
  NAMESPACE,
  PODS,
  recordChildren,
  untilCount,
} from './workload.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '1' },
    changes: { type: 'string', default: '200' },
    program: { type: 'string' },
  },
});
const COUNT = Number(values.count);
/** Objects in work at once, for the operator as for the script. */
const CONCURRENCY = 8;
const TIMEOUT_MS = 600_000;
const SETTLE_MS = 600;

interface Changes {
  readonly actedMs: readonly number[];
  readonly toldMs: readonly number[];
}

interface OperatorFigures {
  readonly podsReadyMs: number;
  readonly statusReadyMs: number;
  readonly cpuSeconds: number;
  readonly writesPerObject: number;
  readonly peakBytes: number;
  readonly restBytes: number;
  readonly writesAtRest: number;
  readonly readsAtRest: number;
  readonly resyncedReconciles: number;
  readonly changes: Changes;
  readonly children: readonly (readonly Child[])[];
}

async function onCluster<T>(work: (cluster: KwokCluster, connection: Connection) => Promise<T>): Promise<T> {
  const cluster = await startKwokCluster();
  const connection = await connect(cluster.kubeconfigPath);
  try {
    await installCrds(connection.client);
    await createNamespace(connection.client);
    return await work(cluster, connection);
  } finally {
    await connection.close();
    await cluster.stop();
  }
}

async function measureOperator(program: string, withRest: boolean): Promise<OperatorFigures> {
  return await onCluster(async (cluster, { client }) => {
    const operator = await OperatorProcess.start(program, cluster, CONCURRENCY);
    try {
      const [pods, models] = await Promise.all([follow(client, PODS), follow(client, MODEL_DEPLOYMENTS)]);
      const indexes = Array.from({ length: COUNT }, (_, index) => index);
      const [podsReadyMs, statusReadyMs] = await Promise.all([
        untilCount(pods, COUNT, isReady, TIMEOUT_MS),
        untilCount(models, COUNT, hasReadyPhase, TIMEOUT_MS),
        forEach(indexes, CONCURRENCY, async (index) => {
          await client.create(MODEL_DEPLOYMENTS, modelDeployment(index));
        }),
      ]);
      console.log(
        `the operator: all pods Ready after ${seconds(podsReadyMs)}, all statuses after ${seconds(statusReadyMs)}`,
      );
      await Promise.all([pods.stop(), models.stop()]);
      await operator.atRest(3_000);
      const cpuSeconds = await operator.cpuSeconds();
      const { writes } = await operator.requests();
      const children = await recordChildren(client);
      const rest = withRest ? await measureRest(operator) : { writesAtRest: 0, readsAtRest: 0, resyncedReconciles: 0 };
      const { residentBytes } = await operator.memory();
      const changes = withRest ? await measureChanges(client) : { actedMs: [], toldMs: [] };
      const { peakBytes } = await operator.memory();
      return {
        podsReadyMs,
        statusReadyMs,
        cpuSeconds,
        writesPerObject: writes / COUNT,
        peakBytes,
        restBytes: residentBytes,
        ...rest,
        changes,
        children,
      };
    } finally {
      await operator.stop();
    }
  });
}

/** Through two forced resyncs. */
async function measureRest(operator: OperatorProcess) {
  const before = { ...(await operator.requests()), reconciles: await operator.reconciles() };
  await delay((2 * RESYNC_MINUTES + 0.5) * 60_000);
  const after = { ...(await operator.requests()), reconciles: await operator.reconciles() };
  return {
    writesAtRest: after.writes - before.writes,
    readsAtRest: after.reads - before.reads,
    resyncedReconciles: after.reconciles - before.reconciles,
  };
}

/**
 * From when a change of one ModelDeployment is accepted until another client sees the change of its Deployment, and
 * beside it until that client sees the change itself: what the API server takes alone.
 */
async function measureChanges(client: Connection['client']): Promise<Changes> {
  const [models, deployments] = await Promise.all([follow(client, MODEL_DEPLOYMENTS), follow(client, DEPLOYMENTS)]);
  let changed = '';
  let told = Promise.withResolvers<number>();
  let acted = Promise.withResolvers<number>();
  models.informer.onChange(({ old, new: object }) => {
    if (object?.metadata.name === changed && object.spec.replicas !== old?.spec.replicas)
      told.resolve(performance.now());
  });
  deployments.informer.onChange(({ old, new: object }) => {
    const owner = object?.metadata.ownerReferences?.[0]?.name;
    if (owner === changed && object?.spec?.replicas !== old?.spec?.replicas) acted.resolve(performance.now());
  });
  const changes = { actedMs: [] as number[], toldMs: [] as number[] };
  for (let change = 0; change < Number(values.changes); change++) {
    changed = `model-${(change * 7) % COUNT}`;
    told = Promise.withResolvers();
    acted = Promise.withResolvers();
    await client.mergePatch(MODEL_DEPLOYMENTS, { namespace: NAMESPACE, name: changed }, { spec: { replicas: 2 } });
    const acceptedMs = performance.now();
    const late = delay(10_000, Number.NaN, { ref: false });
    const actedMs = await Promise.race([acted.promise, late]);
    if (Number.isNaN(actedMs)) throw new Error(`${changed} was changed, and nothing came of it in 10 s`);
    changes.actedMs.push(Math.max(0, actedMs - acceptedMs));
    changes.toldMs.push(Math.max(0, (await told.promise) - acceptedMs));
    // Until what followed from it (new pods, their status) is over: one change at a time is what is measured.
    await delay(SETTLE_MS);
  }
  await Promise.all([models.stop(), deployments.stop()]);
  return changes;
}

async function measureScript(children: readonly (readonly Child[])[]): Promise<number> {
  return await onCluster(async (_cluster, { client }) => {
    const pods = await follow(client, PODS);
    const [readyMs] = await Promise.all([
      untilCount(pods, COUNT, isReady, TIMEOUT_MS),
      forEach(children, CONCURRENCY, async (objects) => {
        for (const { resource, manifest } of objects) await client.create(resource, manifest);
      }),
    ]);
    console.log(`the script: all pods Ready after ${seconds(readyMs)}`);
    await pods.stop();
    return readyMs;
  });
}

const median = (numbers: readonly number[]): number => quantile(numbers, 0.5);

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

const bundled = values.program === undefined ? await bundle() : undefined;
try {
  const program = values.program ?? bundled?.program ?? '';
  const operator: OperatorFigures[] = [];
  const script: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const figures = await measureOperator(program, round === 0);
    operator.push(figures);
    script.push(await measureScript(figures.children));
    console.log(`round ${round + 1}: operator ${seconds(figures.podsReadyMs)}, script ${seconds(script.at(-1) ?? 0)}`);
  }
  const [first] = operator;
  if (first === undefined) throw new Error('--rounds must be at least 1');
  const ratio = median(operator.map(({ podsReadyMs }, round) => podsReadyMs / (script[round] ?? Number.NaN)));
  const rows: [string, string, string][] = [
    [
      `${COUNT} ModelDeployments until all pods are Ready`,
      `${seconds(median(operator.map((figures) => figures.podsReadyMs)))}`,
      '',
    ],
    ['the same children by a plain script', seconds(median(script)), ''],
    ['ratio', ratio.toFixed(2), '<= 1.3'],
    ['until every status says Ready', seconds(first.statusReadyMs), ''],
    ['operator CPU time until then', `${first.cpuSeconds.toFixed(1)} s`, ''],
    ['writes a ModelDeployment', first.writesPerObject.toFixed(1), ''],
    ['resident memory at rest', megabytes(first.restBytes), '< 250 MB'],
    ['resident memory at its peak', megabytes(first.peakBytes), '< 250 MB'],
    ['reconciles by two forced resyncs', String(first.resyncedReconciles), `>= ${2 * COUNT}`],
    ['writes meanwhile, but the lease', String(first.writesAtRest), '0'],
    ['reads meanwhile, but watches', String(first.readsAtRest), '0'],
    ['one change until its child changes, p50', milliseconds(first.changes.actedMs, 0.5), ''],
    ['one change until its child changes, p99', milliseconds(first.changes.actedMs, 0.99), '< 100 ms'],
    ['one change until a watch tells it, p50', milliseconds(first.changes.toldMs, 0.5), ''],
    ['one change until a watch tells it, p99', milliseconds(first.changes.toldMs, 0.99), ''],
  ];
  console.log(`\n${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, everything on this machine`);
  for (const [what, figure, aim] of rows) console.log(`${what.padEnd(52)} ${figure.padStart(10)}  ${aim}`);
} finally {
  await bundled?.remove();
}
