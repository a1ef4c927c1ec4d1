import { Command } from 'commander';
import { inferByGrpc } from '../client/grpc.ts';
import { inferRows, predictions } from '../client/rest.ts';
import { addTargetOptions, canRunPods, NEEDS_ROOT, openTarget, type TargetOptions } from '../cluster/target.ts';
import { installFairlead } from '../install.ts';
import { type ClusterObject, condition, type Kubectl } from '../kubectl.ts';
import { modelStore, readModel, sha256 } from '../model-store.ts';
import { breastCancer } from '../models/data.ts';
import { chapter, command, output, say, table } from './narrate.ts';
import { showCanaries, showScarceGpus } from './rollouts.ts';

/**
 * The main job on real input: a cluster, the operator by its chart, a model trained on real data, predictions from real
 * pods beside the true labels, more pods, new versions judged on live traffic, and a model that is broken on purpose.
 */

const NAMESPACE = 'fairlead-demo';
const NAME = 'breast-cancer';
const DEPLOYMENTS = `/apis/fairlead.dev/v1alpha1/namespaces/${NAMESPACE}/modeldeployments`;
const READY_TIMEOUT_MS = 180_000;
const SHOWN_ROWS = 10;

const FILES = ['v1', 'v2', 'failing', 'slow', 'always-malignant'].map((name) => `breast-cancer-${name}.onnx`);
const uriOf = (file: string) => `http://model-store.${NAMESPACE}.svc/${file}`;
const FIRST = uriOf('breast-cancer-v1.onnx');

function modelDeployment(): object {
  const data = breastCancer();
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name: NAME, namespace: NAMESPACE },
    spec: {
      model: {
        uri: FIRST,
        examples: [
          {
            inputs: [{ name: 'x', shape: [1, data.features.length], datatype: 'FP32', data: data.rows[0] }],
            expect: [{ name: 'label', data: [data.labels[0]] }],
          },
        ],
      },
      replicas: 2,
      resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
    },
  };
}

const isReady = (object: ClusterObject | undefined) =>
  object !== undefined &&
  object.status?.observedGeneration === object.metadata.generation &&
  condition(object, 'Ready')?.status === 'True';

async function show(kubectl: Kubectl, args: readonly string[]): Promise<void> {
  command(`kubectl ${args.join(' ')}`);
  output(await kubectl.run(args));
}

/** Prints each change of phase, with the reason that status gives, until `done`. */
async function follow(kubectl: Kubectl, done: (object: ClusterObject) => boolean): Promise<ClusterObject> {
  let last = '';
  const found = await kubectl.until(
    DEPLOYMENTS,
    NAME,
    (object) => {
      if (object === undefined) return false;
      const ready = condition(object, 'Ready');
      const line = `${object.status?.phase ?? 'Pending'}: ${ready?.message ?? 'not seen by the operator yet'}`;
      if (line !== last) say(line);
      last = line;
      return done(object);
    },
    READY_TIMEOUT_MS,
  );
  if (found === undefined) throw new Error(`ModelDeployment ${NAME} is gone`);
  return found;
}

async function predictByRest(kubectl: Kubectl): Promise<void> {
  const data = breastCancer();
  const forward = await kubectl.portForward(`service/${NAME}`, NAMESPACE, 80);
  try {
    command(`kubectl port-forward -n ${NAMESPACE} service/${NAME} ${forward.port}:80 &`);
    command(
      `curl -s localhost:${forward.port}/v2/models/${NAME}/infer -d '{"inputs": [{"name": "x", "shape": [1, 30], ...}]}'`,
    );
    const answers = predictions(await inferRows(`http://127.0.0.1:${forward.port}`, NAME, data.rows));
    const named = (label: number | undefined) => data.classes[label ?? -1] ?? 'none';
    table([
      ['patient', 'predicted', 'probability', 'truly', ''],
      ...answers.slice(0, SHOWN_ROWS).map((answer, row) => {
        const right = answer.label === data.labels[row];
        return [
          String(row + 1),
          named(answer.label),
          answer.probability.toFixed(3),
          named(data.labels[row]),
          right ? '' : 'wrong',
        ];
      }),
    ]);
    const right = answers.filter((answer, row) => answer.label === data.labels[row]).length;
    say(`REST: ${right} of ${answers.length} held-out patients right.`);
  } finally {
    forward.close();
  }
}

async function predictByGrpc(kubectl: Kubectl): Promise<void> {
  const data = breastCancer();
  const forward = await kubectl.portForward(`service/${NAME}`, NAMESPACE, 9000);
  try {
    const labels = await inferByGrpc(`127.0.0.1:${forward.port}`, NAME, data.rows);
    const right = labels.filter((label, row) => label === data.labels[row]).length;
    say(`gRPC (ModelInfer, binary tensors): ${right} of ${labels.length} held-out patients right.`);
  } finally {
    forward.close();
  }
}

async function run(options: TargetOptions & { readonly down: boolean }): Promise<void> {
  chapter('A Kubernetes cluster');
  const target = await openTarget(options);
  const { kubectl } = target;
  await show(kubectl, ['get', 'nodes']);

  chapter('The operator, by its Helm chart');
  const { image } = await installFairlead(target);
  await show(kubectl, ['get', 'pods', '-n', 'fairlead-system']);

  chapter('A ModelDeployment: a classifier trained on 426 real patients of the Wisconsin breast cancer study');
  const files = Object.fromEntries(FILES.map((file) => [file, readModel(file)]));
  await kubectl.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  await kubectl.apply(...modelStore(NAMESPACE, image, files));
  await kubectl.run(['rollout', 'status', 'deployment/model-store', '-n', NAMESPACE, '--timeout=120s']);
  command(`kubectl apply -f breast-cancer.yaml   # model: ${FIRST}, 2 replicas`);
  await kubectl.apply(modelDeployment());
  await follow(kubectl, isReady);
  await show(kubectl, ['get', 'md', '-n', NAMESPACE]);

  chapter('Real predictions from real pods');
  await predictByRest(kubectl);
  await predictByGrpc(kubectl);

  chapter('More pods');
  await show(kubectl, ['scale', 'md', NAME, '-n', NAMESPACE, '--replicas=3']);
  await follow(kubectl, (object) => isReady(object) && object.status.readyReplicas === 3);
  await show(kubectl, ['get', 'pods', '-n', NAMESPACE, '-l', `fairlead.dev/model-deployment=${NAME}`]);

  const demo = { target, image, namespace: NAMESPACE, name: NAME, uriOf };
  await showCanaries(demo, 'breast-cancer-v2.onnx', [
    { file: 'breast-cancer-failing.onnx', flaw: 'answers an eighth of the patients with an error' },
    { file: 'breast-cancer-slow.onnx', flaw: 'is right but slow' },
    { file: 'breast-cancer-always-malignant.onnx', flaw: 'calls everybody ill' },
  ]);
  await predictByRest(kubectl);
  if (target.hasKwok) await showScarceGpus(demo);

  chapter('A model that is broken on purpose: bytes that are not those that were promised');
  const wrong = sha256(Buffer.from('not this model'));
  command(
    `kubectl patch md ${NAME} -n ${NAMESPACE} --type=merge -p '{"spec": {"model": {"sha256": "${wrong.slice(0, 12)}..."}}}'`,
  );
  await kubectl.patch('md', NAMESPACE, NAME, { spec: { model: { sha256: wrong } } });
  await follow(kubectl, (object) => condition(object, 'Ready')?.reason === 'DigestMismatch');
  await show(kubectl, ['get', 'md', '-n', NAMESPACE]);
  say('The revision before it goes on serving:');
  await predictByGrpc(kubectl);
  say('And back to the right digest:');
  await kubectl.patch('md', NAMESPACE, NAME, { spec: { model: { sha256: null } } });
  await follow(kubectl, isReady);
  await show(kubectl, ['get', 'md', '-n', NAMESPACE]);

  if (options.down) {
    await kubectl.run(['delete', 'namespace', NAMESPACE]);
    await target.down();
    return;
  }
  chapter('What to try next');
  for (const line of [
    target.shellSetup,
    `kubectl describe md ${NAME} -n ${NAMESPACE}`,
    `kubectl scale md ${NAME} -n ${NAMESPACE} --replicas=5`,
    `kubectl delete pod -n ${NAMESPACE} -l fairlead.dev/model-deployment=${NAME} --wait=false && kubectl get md -n ${NAMESPACE} -w`,
    'kubectl explain modeldeployment.spec.model',
    'ls config/samples   # autoscaling, GPUs, private stores, a container of your own',
    target.downCommand,
  ]) {
    command(line);
  }
}

const program = new Command('demo').description('Shows a ModelDeployment serving real predictions on a real cluster');
addTargetOptions(program);
program.option('--down', 'take down what the demo made when it is over', false);
const options = program.parse().opts<TargetOptions & { readonly down: boolean }>();
if (!canRunPods(options)) program.error(NEEDS_ROOT);
await run(options);
