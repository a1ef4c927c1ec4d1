import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { Kubectl } from '../kubectl.ts';
import { Cluster, canRunRealNode } from './cluster.ts';
import { command } from './command.ts';
import { ensureFairleadImage, imageName } from './image.ts';
import { ensureKubernetes } from './kubernetes.ts';
import { repositoryRoot, stateRoot } from './paths.ts';
import { type Progress, reportToTerminal } from './progress.ts';

/** Which cluster the demo and the tests run on. Only these options decide it: KUBECONFIG alone never does. */
export interface TargetOptions {
  /** A context of the user's kubeconfig. */
  readonly context?: string | undefined;
  /** A cluster of kind, made for this. */
  readonly kind?: boolean | undefined;
  /** Fairlead's image, where the cluster pulls it from a registry. */
  readonly image?: string | undefined;
}

export interface Target {
  /** For people. */
  readonly name: string;
  /** Its current context is the target's. */
  readonly kubeconfigPath: string;
  readonly kubectl: Kubectl;
  /** The paths of the programs. */
  readonly kubectlPath: string;
  readonly helmPath: string;
  /** Whether nodes made by `createKwokNodes` come to life. */
  readonly hasKwok: boolean;
  /** Whether it was there before it was opened. */
  readonly wasUp: boolean;
  /** Builds Fairlead's image of this checkout and gives it to the nodes; returns its name. */
  provideImage(): Promise<string>;
  /** What a person types to use kubectl on it. */
  readonly shellSetup: string;
  /** What a person types to be rid of it. */
  readonly downCommand: string;
  down(): Promise<void>;
}

export function addTargetOptions(program: Command): Command {
  return program
    .option('--context <name>', 'use this context of your kubeconfig instead of a cluster of our own')
    .option('--kind', 'use a cluster of kind (needs Docker and kind)')
    .option('--image <name>', "Fairlead's image in a registry that the cluster of --context pulls from");
}

/** What `npm test -- --context NAME` and the like hand over to vitest. */
export function targetFromEnvironment(environment: NodeJS.ProcessEnv): TargetOptions {
  return {
    context: environment.FAIRLEAD_TEST_CONTEXT,
    kind: environment.FAIRLEAD_TEST_KIND === 'true',
    image: environment.FAIRLEAD_TEST_IMAGE,
  };
}

/** Whether the target has nodes on which pods really run; if not, `NEEDS_ROOT` says why. */
export function canRunPods({ context, kind }: TargetOptions): boolean {
  return context !== undefined || kind === true || canRunRealNode();
}

/** Brings the cluster up, where it is ours to bring up, and says how to use it. */
export function openTarget(options: TargetOptions, progress: Progress = reportToTerminal): Promise<Target> {
  if (options.context !== undefined && options.kind === true)
    throw new Error('--context and --kind exclude each other');
  if (options.context !== undefined) return openContext(options.context, options.image);
  return options.kind === true ? openKind(progress) : openOwn(progress);
}

async function openOwn(progress: Progress): Promise<Target> {
  const cluster = new Cluster();
  const wasUp = await cluster.isUp();
  await cluster.up(progress);
  const programs = await ensureKubernetes(progress);
  const { kubeconfigPath } = cluster;
  return {
    name: "Fairlead's own cluster",
    kubeconfigPath,
    kubectl: new Kubectl({ binary: programs('kubectl'), kubeconfigPath }),
    kubectlPath: programs('kubectl'),
    helmPath: programs('helm'),
    hasKwok: true,
    wasUp,
    provideImage: async () => {
      const { image, archive } = await ensureFairleadImage(progress);
      await cluster.loadImage(image, archive);
      return image;
    },
    shellSetup: `export KUBECONFIG=${kubeconfigPath}; alias kubectl=${programs('kubectl')}`,
    downCommand: 'npm run cluster -- down',
    down: () => cluster.down(progress),
  };
}

/** Why a user who is not root gets a cluster without a node that runs pods. */
export const NEEDS_ROOT =
  'a node that runs real pods needs root (namespaces, mounts, routes); run as root, or name a cluster with --context or --kind';

async function openContext(context: string, image: string | undefined): Promise<Target> {
  const config = await command('kubectl', ['config', 'view', '--raw', '--minify', '--flatten', `--context=${context}`]);
  const kubeconfigPath = await keepKubeconfig('context', config);
  return {
    ...fromPath(kubeconfigPath),
    name: `the cluster of context ${context}`,
    wasUp: true,
    provideImage: async () => {
      if (image !== undefined) return image;
      throw new Error(
        `build the image (docker build .), push it where the cluster of ${context} can pull it from, and name it with --image`,
      );
    },
    shellSetup: `kubectl config use-context ${context}`,
    downCommand: 'helm uninstall fairlead --namespace fairlead-system',
    down: async () => undefined,
  };
}

const KIND_CLUSTER = 'fairlead';

async function openKind(progress: Progress): Promise<Target> {
  const clusters = (await command('kind', ['get', 'clusters'])).split('\n');
  const wasUp = clusters.includes(KIND_CLUSTER);
  if (!wasUp) {
    progress(`creating the kind cluster ${KIND_CLUSTER}`);
    await command('kind', ['create', 'cluster', '--name', KIND_CLUSTER, '--wait', '180s'], { onErrorLine: progress });
  }
  const kubeconfigPath = await keepKubeconfig(
    'kind',
    await command('kind', ['get', 'kubeconfig', '--name', KIND_CLUSTER]),
  );
  const downCommand = `kind delete cluster --name ${KIND_CLUSTER}`;
  return {
    ...fromPath(kubeconfigPath),
    name: `the kind cluster ${KIND_CLUSTER}`,
    wasUp,
    provideImage: async () => {
      const image = await imageName();
      await command('docker', ['build', '--target', 'cpu', '-t', image, repositoryRoot], { onErrorLine: progress });
      await command('kind', ['load', 'docker-image', '--name', KIND_CLUSTER, image]);
      return image;
    },
    shellSetup: `kubectl config use-context kind-${KIND_CLUSTER}`,
    downCommand,
    down: async () => {
      await command('kind', ['delete', 'cluster', '--name', KIND_CLUSTER]);
    },
  };
}

/** Who has a cluster has kubectl and helm, too: nothing is built for these. */
const fromPath = (kubeconfigPath: string) => ({
  kubeconfigPath,
  kubectl: new Kubectl({ binary: 'kubectl', kubeconfigPath }),
  kubectlPath: 'kubectl',
  helmPath: 'helm',
  hasKwok: false,
});

async function keepKubeconfig(name: string, config: string): Promise<string> {
  const directory = join(stateRoot, '..');
  await mkdir(directory, { recursive: true });
  const path = join(directory, `${name}.kubeconfig`);
  await writeFile(path, config, { mode: 0o600 });
  return path;
}
