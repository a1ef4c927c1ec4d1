import { join } from 'node:path';
import { ensureGoPrograms } from './go-programs.ts';
import { repositoryRoot } from './paths.ts';
import { type Progress, reportToTerminal } from './progress.ts';

const KUBERNETES_VERSION = '1.36.3';

/** etcd's main package is named `server`. */
const FILES = {
  etcd: 'server',
  'kube-apiserver': 'kube-apiserver',
  'kube-controller-manager': 'kube-controller-manager',
  'kube-scheduler': 'kube-scheduler',
  kubelet: 'kubelet',
  'kube-proxy': 'kube-proxy',
  kubectl: 'kubectl',
  kwok: 'kwok',
  'metrics-server': 'metrics-server',
  helm: 'helm',
  coredns: 'coredns',
} as const;

export type KubernetesProgram = keyof typeof FILES;
/** The path of a program on this machine. */
export type KubernetesPrograms = (program: KubernetesProgram) => string;

/** The programs of a real Kubernetes, built from source when this machine does not have them yet. */
export async function ensureKubernetes(progress: Progress = reportToTerminal): Promise<KubernetesPrograms> {
  const [major, minor] = KUBERNETES_VERSION.split('.');
  const directory = await ensureGoPrograms(
    {
      title: `Kubernetes ${KUBERNETES_VERSION}`,
      moduleDirectory: join(repositoryRoot, 'e2e/cluster'),
      sources: ['go.mod', 'go.sum', 'coredns/main.go'],
      packages: ['tool', './coredns'],
      // Without a version kubectl refuses to speak to the server.
      ldflags: [
        '-s -w',
        `-X k8s.io/component-base/version.gitVersion=v${KUBERNETES_VERSION}`,
        `-X k8s.io/component-base/version.gitMajor=${major}`,
        `-X k8s.io/component-base/version.gitMinor=${minor}`,
        `-X k8s.io/client-go/pkg/version.gitVersion=v${KUBERNETES_VERSION}`,
      ].join(' '),
      firstBuild: 'about 10 minutes',
    },
    progress,
  );
  return (program) => join(directory, FILES[program]);
}
