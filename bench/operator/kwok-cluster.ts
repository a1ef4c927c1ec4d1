import { dirname, join } from 'node:path';
import { Child } from '../../e2e/cluster/child.ts';
import { startControlPlane } from '../../e2e/cluster/control-plane.ts';
import { createKwokNodes } from '../../e2e/cluster/kwok.ts';
import { repositoryRoot } from '../../e2e/cluster/paths.ts';

/** A control plane of its own with controllers, a scheduler, and nodes that only seem to exist: pods are Ready at once. */
export interface KwokCluster {
  readonly kubeconfigPath: string;
  readonly directory: string;
  stop(): Promise<void>;
}

const NODES = 20;
/** The defaults of 20 to 50 requests a second would be what is measured. */
const UNHURRIED = ['--kube-api-qps=1000', '--kube-api-burst=2000', '--leader-elect=false', '--secure-port=0'];

export async function startKwokCluster(): Promise<KwokCluster> {
  const plane = await startControlPlane();
  const directory = dirname(plane.kubeconfigPath);
  const kubeconfig = `--kubeconfig=${plane.kubeconfigPath}`;
  const start = (name: 'kube-controller-manager' | 'kube-scheduler' | 'kwok', args: readonly string[]) =>
    Child.start(name, plane.programs(name), [kubeconfig, ...args], join(directory, `${name}.log`));
  const children = [
    start('kube-controller-manager', [
      ...UNHURRIED,
      '--concurrent-deployment-syncs=20',
      '--concurrent-replicaset-syncs=20',
      '--concurrent-service-endpoint-syncs=20',
    ]),
    start('kube-scheduler', UNHURRIED),
    start('kwok', [
      `--config=${join(repositoryRoot, 'e2e/cluster/kwok-stages.yaml')}`,
      '--manage-all-nodes=false',
      '--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake',
      '--cidr=10.245.0.1/16',
      '--node-ip=127.0.0.1',
      '--node-lease-duration-seconds=40',
    ]),
  ];
  const stop = async (): Promise<void> => {
    await Promise.all(children.map((child) => child.stop('SIGKILL')));
    await plane.stop();
  };
  try {
    await createKwokNodes(plane.kubeconfigPath, { prefix: 'bench', count: NODES, pods: '250', taints: [] });
  } catch (error) {
    await stop();
    throw error;
  }
  return { kubeconfigPath: plane.kubeconfigPath, directory, stop };
}
