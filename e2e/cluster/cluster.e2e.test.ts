import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWhere } from '../describe-where.ts';
import { image, kubectl, useNamespace } from '../environment.ts';
import { Cluster } from './cluster.ts';
import { ensureFairleadImage, imageSizes } from './image.ts';
import { createKwokNodes, deleteKwokNodes, KWOK_TAINT } from './kwok.ts';
import { isOwnNode, OWN_NODE } from './own-node.ts';

/** Of a label of their own, so that no pods come to nodes of other tests. */
const NODES = { prefix: 'gpu', count: 200, labels: { 'fairlead.dev/test': 'many' } } as const;

const securityContext = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

describeWhere(isOwnNode, OWN_NODE)("Fairlead's own cluster", () => {
  const namespace = useNamespace('e2e-cluster');

  it('looks for no address of a Service outside this machine', async () => {
    await expect(fetch('http://10.96.255.254/')).rejects.toThrow('fetch failed');
  });

  it('gives a GPU of the real node to a container that asks for one, and resolves names of services', async () => {
    const script = `
      const { address } = await (await import('node:dns/promises')).lookup('kubernetes.default.svc.cluster.local');
      console.log(address, process.env.NVIDIA_VISIBLE_DEVICES, process.getuid());`;
    await kubectl().apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'asks', namespace },
      spec: {
        restartPolicy: 'Never',
        containers: [
          {
            name: 'main',
            image: image(),
            command: ['node', '--input-type=module', '--eval', script],
            resources: { limits: { 'nvidia.com/gpu': '1' } },
            securityContext,
          },
        ],
      },
    });
    await kubectl().run([
      ...['wait', 'pod/asks', '-n', namespace],
      ...['--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s'],
    ]);
    expect(await kubectl().run(['logs', 'asks', '-n', namespace])).toMatch(/^10\.96\.0\.1 fake-\d 65532\n$/);
  });

  describe('with hundreds of GPU nodes that only seem to exist', () => {
    beforeAll(async () => {
      await createKwokNodes(new Cluster().kubeconfigPath, { ...NODES, extendedResources: { 'nvidia.com/gpu': '8' } });
    });
    afterAll(() => deleteKwokNodes(new Cluster().kubeconfigPath, NODES));

    it('schedules by their GPUs: what fits is ready and the rest waits', async () => {
      await kubectl().apply({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'many', namespace },
        spec: {
          replicas: 202,
          selector: { matchLabels: { app: 'many' } },
          template: {
            metadata: { labels: { app: 'many' } },
            spec: {
              nodeSelector: NODES.labels,
              tolerations: [{ ...KWOK_TAINT, operator: 'Equal' }],
              containers: [
                { name: 'main', image: 'none', resources: { limits: { 'nvidia.com/gpu': '8' } }, securityContext },
              ],
            },
          },
        },
      });
      const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;
      const settled = await kubectl().until(
        deployments,
        'many',
        (deployment) => deployment?.status?.readyReplicas === NODES.count,
        120_000,
      );
      expect(settled?.status.unavailableReplicas).toBe(2);
    });
  });
});

describeWhere(isOwnNode, OWN_NODE)('the image for CPUs', () => {
  it('is smaller than 400 MB unpacked', async () => {
    const { archive } = await ensureFairleadImage(() => undefined);
    const { unpackedBytes, compressedBytes } = await imageSizes(archive);
    console.log(`${Math.round(unpackedBytes / 1e6)} MB unpacked, ${Math.round(compressedBytes / 1e6)} MB compressed`);
    expect(unpackedBytes).toBeLessThan(400e6);
  });
});
