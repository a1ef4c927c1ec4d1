import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BRIDGE, KWOK_POD_SUBNET, NODE_IP, POD_SUBNET, SERVICE_CIDR } from './address-plan.ts';
import { command } from './command.ts';

/** Also the prefix of what the CNI library keeps of each attachment, and in the comments of its packet filter rules. */
export const NETWORK_NAME = 'fairlead';
const CNI_RESULTS = '/var/lib/cni/results';

export async function createBridge(): Promise<void> {
  const links = JSON.parse(await command('ip', ['-json', 'address'])) as {
    ifname: string;
    addr_info: { local: string }[];
  }[];
  const bridge = links.find((link) => link.ifname === BRIDGE);
  if (bridge === undefined) await command('ip', ['link', 'add', BRIDGE, 'type', 'bridge']);
  if (!bridge?.addr_info.some((address) => address.local === NODE_IP)) {
    await command('ip', ['address', 'add', `${NODE_IP}/24`, 'dev', BRIDGE]);
  }
  await command('ip', ['link', 'set', BRIDGE, 'up']);
  // An address of the cluster that nothing stands behind yet must not be looked for outside this machine, where anything
  // may answer: a Service that kube-proxy has not heard of would otherwise be reached through the default route.
  for (const cidr of [SERVICE_CIDR, KWOK_POD_SUBNET]) {
    await command('ip', ['route', 'replace', cidr, 'dev', BRIDGE]);
  }
}

export async function writeCniConfiguration(directory: string, dataDirectory: string): Promise<void> {
  const bridge = {
    type: 'bridge',
    bridge: BRIDGE,
    isGateway: true,
    ipMasq: true,
    hairpinMode: true,
    ipam: {
      type: 'host-local',
      ranges: [[{ subnet: POD_SUBNET }]],
      routes: [{ dst: '0.0.0.0/0' }],
      dataDir: dataDirectory,
    },
  };
  const configuration = { cniVersion: '0.4.0', name: NETWORK_NAME, plugins: [bridge] };
  await writeFile(join(directory, '10-fairlead.conflist'), JSON.stringify(configuration, undefined, 2));
}

/**
 * Deletes the network namespaces of pods that still have one, which takes their ends of the bridge with them, and then
 * the bridge.
 */
export async function removeNetwork(): Promise<void> {
  const results = await readdir(CNI_RESULTS).catch(() => []);
  for (const name of results.filter((result) => result.startsWith(`${NETWORK_NAME}-`))) {
    const { containerId, namespaces } = attachment(await readFile(join(CNI_RESULTS, name), 'utf8'));
    for (const namespace of namespaces) {
      await command('umount', ['-l', namespace]).catch(() => undefined);
      await rm(namespace, { force: true });
    }
    // Each pod has a result for its loopback device, too.
    for (const result of results)
      if (result.includes(containerId)) await rm(join(CNI_RESULTS, result), { force: true });
  }
  const links = JSON.parse(await command('ip', ['-json', 'link'])) as { ifname: string }[];
  if (links.some((link) => link.ifname === BRIDGE)) await command('ip', ['link', 'delete', BRIDGE]);
}

interface CachedResult {
  readonly containerId: string;
  readonly result?: { readonly interfaces?: readonly { readonly sandbox?: string }[] };
}

function attachment(cachedResult: string): { containerId: string; namespaces: string[] } {
  const { containerId, result } = JSON.parse(cachedResult) as CachedResult;
  const sandboxes = result?.interfaces?.map(({ sandbox }) => sandbox ?? '') ?? [];
  return { containerId, namespaces: [...new Set(sandboxes.filter((sandbox) => sandbox !== ''))] };
}
