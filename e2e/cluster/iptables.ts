import { command } from './command.ts';

/**
 * Input for `iptables-restore --noflush` that removes, from what `iptables-save` printed, every chain of kube-proxy and
 * the kubelet, those of the CNI network of this name, and every rule that leads there. Empty when there is none.
 */
export function removalScript(saved: string, network: string): string {
  const tables = saved.split(/^(?=\*)/m).filter((table) => table.startsWith('*'));
  return tables.map((table) => removeFromTable(table, network)).join('');
}

function removeFromTable(table: string, network: string): string {
  const lines = table.split('\n');
  const rules = lines.flatMap((line) => {
    const [, chain = '', target = ''] = /^-A (\S+) .*-[jg] (\S+)/.exec(line) ?? [];
    return chain === '' ? [] : [{ line, chain, target }];
  });
  // The chains of a CNI network have names by hash; the comment of the rule that leads there says whose they are.
  const ofNetwork = new Set(
    rules.filter(({ line }) => line.includes(`"name: \\"${network}\\" id: `)).map(({ target }) => target),
  );
  const isOurs = (chain: string) => chain.startsWith('KUBE-') || (chain.startsWith('CNI-') && ofNetwork.has(chain));
  const chains = lines
    .filter((line) => line.startsWith(':'))
    .map((line) => line.slice(1).split(' ', 1)[0] ?? '')
    .filter(isOurs);
  if (chains.length === 0) return '';
  return [
    lines[0],
    ...rules
      .filter(({ chain, target }) => !isOurs(chain) && isOurs(target))
      .map(({ line }) => line.replace('-A', '-D')),
    ...chains.map((chain) => `-F ${chain}`),
    ...chains.map((chain) => `-X ${chain}`),
    'COMMIT',
    '',
  ].join('\n');
}

/** Takes away what Kubernetes and its pod network added to the packet filter; rules of others stay. */
export async function removeKubernetesRules(network: string): Promise<void> {
  for (const family of ['iptables', 'ip6tables']) {
    const script = removalScript(await command(`${family}-save`, []), network);
    if (script !== '') await command(`${family}-restore`, ['--noflush'], { input: script });
  }
}
