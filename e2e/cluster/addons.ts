import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { METRICS_SERVER_PORT, NODE_IP } from './address-plan.ts';
import type { Daemon } from './daemons.ts';
import type { KubernetesPrograms } from './kubernetes.ts';
import type { Pki } from './pki.ts';

/** CoreDNS on the host, at the address the kubelet gives to pods. */
export async function configureDns(stateDirectory: string, pki: Pki, programs: KubernetesPrograms): Promise<Daemon> {
  const file = join(stateDirectory, 'Corefile');
  await writeFile(
    file,
    `.:53 {
  bind ${NODE_IP}
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${pki.file('admin.kubeconfig')} fairlead
  }
  cache 5
}
`,
  );
  return { name: 'coredns', program: programs('coredns'), args: ['-conf', file] };
}

/** metrics-server on the host; `metricsApi` are the objects that lead the API server to it. */
export function metricsServer(stateDirectory: string, pki: Pki, programs: KubernetesPrograms): Daemon {
  const kubeconfig = pki.file('admin.kubeconfig');
  return {
    name: 'metrics-server',
    program: programs('metrics-server'),
    args: [
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      `--secure-port=${METRICS_SERVER_PORT}`,
      `--bind-address=${NODE_IP}`,
      `--cert-dir=${join(stateDirectory, 'metrics-server')}`,
      '--kubelet-insecure-tls',
      '--kubelet-preferred-address-types=InternalIP',
      '--metric-resolution=10s',
      '--kubelet-request-timeout=5s',
      // Nodes that only seem to exist have no kubelet to ask.
      '--node-selector=type!=kwok',
    ],
  };
}

const metricsServerMetadata = { name: 'metrics-server', namespace: 'kube-system' };

export const metricsApi: readonly object[] = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metricsServerMetadata,
    spec: { ports: [{ name: 'https', port: 443, targetPort: METRICS_SERVER_PORT }] },
  },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...metricsServerMetadata, labels: { 'kubernetes.io/service-name': 'metrics-server' } },
    addressType: 'IPv4',
    ports: [{ name: 'https', port: METRICS_SERVER_PORT, protocol: 'TCP' }],
    endpoints: [{ addresses: [NODE_IP], conditions: { ready: true } }],
  },
  {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: 'v1beta1.metrics.k8s.io' },
    spec: {
      group: 'metrics.k8s.io',
      version: 'v1beta1',
      groupPriorityMinimum: 100,
      versionPriority: 100,
      insecureSkipTLSVerify: true,
      service: { name: 'metrics-server', namespace: 'kube-system' },
    },
  },
];
