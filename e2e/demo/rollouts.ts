import { createKwokNodes, deleteKwokNodes, KWOK_TAINT } from '../cluster/kwok.ts';
import type { Target } from '../cluster/target.ts';
import { type ClusterObject, condition, type Kubectl } from '../kubectl.ts';
import { startLoadPod } from '../load/load-pod.ts';
import { chapter, command, say, table } from './narrate.ts';

/** New versions under live load: one that is promoted, three that are caught and taken back; and a rollout where no GPU is free. */

const ROLLOUT_TIMEOUT_MS = 240_000;

/** Small holds and intervals, so that a demo does not last an hour; the rules are those of production. */
const ROLLOUT = {
  strategy: 'Canary',
  steps: [
    { weight: 20, hold: '5s' },
    { weight: 50, hold: '5s' },
  ],
  analysis: {
    interval: '1s',
    minRequests: 300,
    metrics: [
      { name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '2%' } },
      { name: 'latency', builtin: 'LatencyP50', maxIncrease: { absolute: '15ms' } },
      { name: 'predictions', builtin: 'PredictionDistribution', max: '25%' },
    ],
  },
};

export interface RolloutDemo {
  readonly target: Target;
  readonly image: string;
  readonly namespace: string;
  /** A ModelDeployment that is Ready. */
  readonly name: string;
  /** Where the model store has a file. */
  readonly uriOf: (file: string) => string;
}

const pathOf = (namespace: string) => `/apis/fairlead.dev/v1alpha1/namespaces/${namespace}/modeldeployments`;

/** Prints each change of phase, step, weight and verdict until `done`. */
async function followRollout(
  kubectl: Kubectl,
  namespace: string,
  name: string,
  done: (object: ClusterObject) => boolean,
): Promise<ClusterObject> {
  let last = '';
  const found = await kubectl.until(
    pathOf(namespace),
    name,
    (object) => {
      if (object?.status?.observedGeneration !== object?.metadata.generation) return false;
      const { phase, canary, rollout } = object?.status ?? {};
      const line = [
        phase,
        rollout?.step && `step ${rollout.step}`,
        canary?.weight !== undefined && `weight ${canary.weight}%`,
        rollout?.verdict,
      ]
        .filter(Boolean)
        .join(', ');
      if (line !== last) say(`${line}: ${rollout?.message ?? condition(object, 'Ready')?.message ?? ''}`);
      last = line;
      return object !== undefined && done(object);
    },
    ROLLOUT_TIMEOUT_MS,
  );
  if (found === undefined) throw new Error(`ModelDeployment ${name} is gone`);
  return found;
}

const isPromoted = (object: ClusterObject) => condition(object, 'Ready')?.status === 'True';
const isTakenBack = (object: ClusterObject) => object.status.phase === 'RolledBack';

/** Ends with the version that was promoted serving, and the spec asking for it again. */
export async function showCanaries(demo: RolloutDemo, better: string, worse: readonly Worse[]): Promise<void> {
  const { target, image, namespace, name, uriOf } = demo;
  const { kubectl } = target;
  const use = async (file: string) => {
    command(
      `kubectl patch md ${name} -n ${namespace} --type=merge -p '{"spec": {"model": {"uri": "${uriOf(file)}"}}}'`,
    );
    await kubectl.patch('md', namespace, name, { spec: { model: { uri: uriOf(file) } } });
  };
  const underLoad = async (file: string, done: (object: ClusterObject) => boolean) => {
    const load = await startLoadPod({ kubectl, image, namespace }, name, { ratePerSecond: 200, connections: 16 });
    await use(file);
    const after = await followRollout(kubectl, namespace, name, done);
    const { sent, ok, failures } = await load.stop();
    const ways = Object.entries(failures).map(([failure, count]) => `${count} of "${failure.slice(0, 80)}"`);
    say(`Meanwhile: ${sent} requests, ${ok} answered${ways.length === 0 ? ', none lost' : `; ${ways.join(', ')}`}.`);
    return after;
  };

  chapter('A better version, by canary under live load: 20%, 50%, then all of the requests, judged at each step');
  command(
    `kubectl patch md ${name} -n ${namespace} --type=merge -p '${JSON.stringify({ spec: { rollout: ROLLOUT } })}'`,
  );
  await kubectl.patch('md', namespace, name, { spec: { rollout: ROLLOUT } });
  // Clients that connect from here on come by the routers.
  await followRollout(kubectl, namespace, name, ({ status }) => status.route?.acknowledged === true);
  await underLoad(better, isPromoted);

  for (const { file, flaw } of worse) {
    chapter(`A version that ${flaw}: caught, and taken back`);
    const after = await underLoad(file, isTakenBack);
    say(`The reason stays in status: ${condition(after, 'Ready')?.message}`);
  }
  say('The spec still asks for the last of them, which is not tried again. Back to the good one:');
  await use(better);
  await followRollout(kubectl, namespace, name, isPromoted);
}

export interface Worse {
  readonly file: string;
  /** What is wrong with it: "A version that ...". */
  readonly flaw: string;
}

const GPUS = { prefix: 'demo-gpu', count: 2 } as const;
const GPUS_A_NODE = 2;

/** Every GPU of the cluster is in use, by the very model that gets a new version. */
export async function showScarceGpus({ target, namespace, uriOf }: RolloutDemo): Promise<void> {
  chapter('A new version where no GPU is free: pods are swapped, not waited for (GPU nodes played by kwok)');
  const { kubectl, kubeconfigPath } = target;
  const name = 'on-gpus';
  const replicas = GPUS.count * GPUS_A_NODE;
  const spec = (digest: string) => ({
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name, namespace },
    spec: {
      model: { uri: uriOf('breast-cancer-v2.onnx'), sha256: digest.repeat(64) },
      replicas,
      resources: { limits: { 'nvidia.com/gpu': '1' } },
      rollout: { capacity: { provisionTimeout: '5s' } },
      pod: {
        nodeSelector: { type: 'kwok' },
        tolerations: [{ ...KWOK_TAINT, operator: 'Equal' }],
      },
    },
  });
  await createKwokNodes(kubeconfigPath, { ...GPUS, extendedResources: { 'nvidia.com/gpu': String(GPUS_A_NODE) } });
  try {
    await kubectl.apply(spec('1'));
    await followRollout(kubectl, namespace, name, isPromoted);
    say(`${replicas} of ${replicas} GPUs are in use. Now another version of the model:`);
    await kubectl.apply(spec('2'));
    const after = await followRollout(kubectl, namespace, name, isPromoted);
    table([
      ['revision', 'pods'],
      [after.status.stable.revision, `${after.status.stable.ready}/${after.status.stable.replicas}`],
    ]);
  } finally {
    await kubectl.delete('md', namespace, name);
    await deleteKwokNodes(kubeconfigPath, GPUS);
  }
}
