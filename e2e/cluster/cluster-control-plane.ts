import { join } from 'node:path';
import { API_SERVER_PORT, CLUSTER_CIDR, ETCD_CLIENT_PORT, ETCD_PEER_PORT, NODE_IP, NODE_NAME } from './address-plan.ts';
import { apiServerArguments, apiServerNames, etcdArguments } from './api-server.ts';
import type { Daemon } from './daemons.ts';
import type { KubernetesPrograms } from './kubernetes.ts';
import { Pki } from './pki.ts';

/** All keys and kubeconfigs of the cluster: `admin`, `kcm`, `sched`, `node1`, `proxy`. What exists is kept. */
export async function createIdentities(directory: string, url: string): Promise<Pki> {
  const pki = new Pki(directory);
  await pki.createAuthority();
  const clients = {
    admin: { commonName: 'admin', organization: 'system:masters' },
    kcm: { commonName: 'system:kube-controller-manager' },
    sched: { commonName: 'system:kube-scheduler' },
    node1: { commonName: `system:node:${NODE_NAME}`, organization: 'system:nodes' },
    proxy: { commonName: 'system:kube-proxy' },
  };
  await Promise.all([
    pki.createServiceAccountKeys(),
    pki.issue('apiserver', { commonName: 'kube-apiserver', alternativeNames: apiServerNames([NODE_IP]) }),
    pki.issue('front-proxy-client', { commonName: 'front-proxy-client' }),
    ...Object.entries(clients).map(async ([name, identity]) => {
      await pki.issue(name, identity);
      await pki.writeKubeconfig(name, url);
    }),
  ]);
  return pki;
}

export interface ControlPlaneDaemons {
  readonly etcd: Daemon;
  readonly apiServer: Daemon;
  readonly controllerManager: Daemon;
  readonly scheduler: Daemon;
}

/** The cluster's control plane, whose API server listens on `address`. */
export function controlPlaneDaemons(
  stateDirectory: string,
  pki: Pki,
  programs: KubernetesPrograms,
  address: string,
): ControlPlaneDaemons {
  // The defaults hold a thousand deployments back; a test cluster has one user.
  const unhurried = ['--kube-api-qps=500', '--kube-api-burst=1000'];
  return {
    etcd: {
      name: 'etcd',
      program: programs('etcd'),
      args: etcdArguments({
        dataDirectory: join(stateDirectory, 'etcd'),
        clientPort: ETCD_CLIENT_PORT,
        peerPort: ETCD_PEER_PORT,
      }),
    },
    apiServer: {
      name: 'kube-apiserver',
      program: programs('kube-apiserver'),
      args: [
        ...apiServerArguments({
          pki,
          etcdClientPort: ETCD_CLIENT_PORT,
          port: API_SERVER_PORT,
          advertiseAddress: address,
          bindAddress: address,
        }),
        `--kubelet-client-certificate=${pki.file('admin.crt')}`,
        `--kubelet-client-key=${pki.file('admin.key')}`,
        '--kubelet-preferred-address-types=InternalIP',
        `--requestheader-client-ca-file=${pki.authorityFile}`,
        '--requestheader-allowed-names=front-proxy-client',
        '--requestheader-extra-headers-prefix=X-Remote-Extra-',
        '--requestheader-group-headers=X-Remote-Group',
        '--requestheader-username-headers=X-Remote-User',
        `--proxy-client-cert-file=${pki.file('front-proxy-client.crt')}`,
        `--proxy-client-key-file=${pki.file('front-proxy-client.key')}`,
        '--enable-aggregator-routing=true',
      ],
    },
    controllerManager: {
      name: 'kube-controller-manager',
      program: programs('kube-controller-manager'),
      args: [
        `--kubeconfig=${pki.file('kcm.kubeconfig')}`,
        `--service-account-private-key-file=${pki.file('service-account.key')}`,
        `--root-ca-file=${pki.authorityFile}`,
        '--use-service-account-credentials',
        '--leader-elect=false',
        `--cluster-cidr=${CLUSTER_CIDR}`,
        // A /24 for each of a thousand nodes does not fit; the one real node has a fixed subnet.
        '--allocate-node-cidrs=false',
        '--secure-port=0',
        '--concurrent-deployment-syncs=20',
        '--concurrent-replicaset-syncs=20',
        '--concurrent-service-endpoint-syncs=20',
        ...unhurried,
      ],
    },
    scheduler: {
      name: 'kube-scheduler',
      program: programs('kube-scheduler'),
      args: [`--kubeconfig=${pki.file('sched.kubeconfig')}`, '--leader-elect=false', '--secure-port=0', ...unhurried],
    },
  };
}
