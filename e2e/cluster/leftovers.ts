import { readdir, readFile } from 'node:fs/promises';
import { command } from './command.ts';
import { readSysctls } from './sysctls.ts';

/** What a cluster changes on its machine, as sorted lines that can be compared. */
export type Footprint = readonly string[];

/** Directories outside of the cluster's own that its programs write to. */
const FOREIGN_DIRECTORIES = [
  '/run/containerd',
  '/run/containerd/s',
  '/run/netns',
  '/var/lib/cni/results',
  '/var/lib/kubelet',
  '/var/log/containers',
  '/var/log/pods',
];

export async function readFootprint(): Promise<Footprint> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => `mount ${line.split(' ')[1]}`);
  const links = (JSON.parse(await command('ip', ['-json', 'link'])) as { ifname: string }[]).map(
    ({ ifname }) => `link ${ifname}`,
  );
  const rules = await Promise.all(
    ['iptables', 'ip6tables'].map(async (family) => {
      const saved = (await command(`${family}-save`, [])).split('\n');
      // Empty built-in chains come into being by reading; only rules and chains of someone are a trace.
      const traces = saved.filter((line) => line.startsWith('-A') || / - \[/.test(line));
      return traces.map((line) => `${family} ${line.replace(/ \[\d+:\d+\]$/, '')}`);
    }),
  );
  const sysctls = Object.entries(await readSysctls()).map(([name, value]) => `sysctl ${name}=${value}`);
  const files = await Promise.all(
    FOREIGN_DIRECTORIES.map(async (directory) =>
      (await readdir(directory).catch(() => [])).map((name) => `file ${directory}/${name}`),
    ),
  );
  return [...mounts, ...links, ...rules.flat(), ...sysctls, ...files.flat()].sort();
}

/** What is there now and was not before, or is no more: empty when nothing was left behind. */
export function compareFootprints(before: Footprint, after: Footprint): string[] {
  const had = new Set(before);
  const has = new Set(after);
  return [
    ...after.filter((line) => !had.has(line)).map((line) => `left behind: ${line}`),
    ...before.filter((line) => !has.has(line)).map((line) => `missing: ${line}`),
  ];
}
