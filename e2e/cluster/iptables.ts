import { command } from './command.ts';

const OURS = /^(KUBE|CNI)-/;

/**
 * Input for `iptables-restore --noflush` that removes every chain of kube-proxy, the kubelet and the CNI plugins, and
 * every rule that leads there, from what `iptables-save` printed. Empty when there is none.
 */
export function removalScript(saved: string): string {
  const tables = saved.split(/^(?=\*)/m).filter((table) => table.startsWith('*'));
  return tables.map(removeFromTable).join('');
}

function removeFromTable(table: string): string {
  const lines = table.split('\n');
  const chains = lines
    .filter((line) => line.startsWith(':'))
    .map((line) => line.slice(1).split(' ', 1)[0] ?? '')
    .filter((chain) => OURS.test(chain));
  if (chains.length === 0) return '';
  const leadingThere = lines.filter((line) => {
    const [, chain = '', target = ''] = /^-A (\S+) .*-[jg] (\S+)/.exec(line) ?? [];
    return chain !== '' && !OURS.test(chain) && OURS.test(target);
  });
  return [
    lines[0],
    ...leadingThere.map((rule) => rule.replace('-A', '-D')),
    ...chains.map((chain) => `-F ${chain}`),
    ...chains.map((chain) => `-X ${chain}`),
    'COMMIT',
    '',
  ].join('\n');
}

/** Takes away what Kubernetes added to the packet filter; rules of others stay. */
export async function removeKubernetesRules(): Promise<void> {
  for (const family of ['iptables', 'ip6tables']) {
    const script = removalScript(await command(`${family}-save`, []));
    if (script !== '') await command(`${family}-restore`, ['--noflush'], { input: script });
  }
}
