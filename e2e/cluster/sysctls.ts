import { readFile, writeFile } from 'node:fs/promises';

/** Kernel settings that a node changes: ours, kube-proxy's and the kubelet's. */
const CHANGED = [
  'net/ipv4/ip_forward',
  'net/ipv4/conf/all/route_localnet',
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
] as const;

const path = (name: string): string => `/proc/sys/${name}`;

/** The settings as they are now, by name; one that this kernel does not have is left out. */
export async function readSysctls(): Promise<Record<string, string>> {
  const entries = await Promise.all(
    CHANGED.map((name) =>
      readFile(path(name), 'utf8').then(
        (value) => [name, value.trim()] as const,
        () => undefined,
      ),
    ),
  );
  return Object.fromEntries(entries.filter((entry) => entry !== undefined));
}

/** Keeps the settings in `file` for `restoreSysctls`; what an earlier, interrupted start kept there stays. */
export async function rememberSysctls(file: string): Promise<void> {
  const content = JSON.stringify(await readSysctls());
  await writeFile(file, content, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** Writes back what `rememberSysctls` kept; does nothing when nothing was kept. */
export async function restoreSysctls(file: string): Promise<void> {
  const kept = await readFile(file, 'utf8').catch(() => '{}');
  const now = await readSysctls();
  for (const [name, value] of Object.entries(JSON.parse(kept) as Record<string, string>)) {
    if (now[name] !== value) await writeFile(path(name), value);
  }
}

export const enableForwarding = (): Promise<void> => writeFile(path('net/ipv4/ip_forward'), '1');
