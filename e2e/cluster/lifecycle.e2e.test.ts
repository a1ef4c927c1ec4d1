import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWhere } from '../describe-where.ts';
import { canRunRealNode } from './cluster.ts';
import { command } from './command.ts';
import type { Life } from './lifecycle.scenario.ts';
import { cacheRoot } from './paths.ts';

const scenario = fileURLToPath(new URL('lifecycle.scenario.ts', import.meta.url));

/**
 * A machine within the machine: no network but loopback, and what is written to system directories is forgotten. Its
 * copies of another cluster's mounts, which vanish as that cluster's pods do, go first.
 */
const OWN_MACHINE = `
  ip link set lo up
  cut -d' ' -f2 /proc/self/mounts | grep -E '/fairlead/cluster/|^/run/netns/' | xargs -r -n1 umount --lazy
  mkdir "$0/upper" "$0/work" &&
  mount -t tmpfs tmpfs /run &&
  mount -t overlay overlay -o "lowerdir=/var,upperdir=$0/upper,workdir=$0/work" /var &&
  rm -rf /var/lib/cni /var/lib/kubelet /var/log/containers &&
  exec "$@"`;

describeWhere(canRunRealNode(), 'root')("the cluster's life", () => {
  let directory: string;
  let life: Life;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fairlead-life-'));
    const inside = ['sh', '-c', OWN_MACHINE, directory, process.execPath, scenario];
    const output = await command('unshare', ['--net', '--mount', '--', ...inside], {
      env: { XDG_STATE_HOME: join(directory, 'state'), XDG_CACHE_HOME: join(cacheRoot, '..') },
    });
    life = JSON.parse(output.trimEnd().split('\n').at(-1) ?? '') as Life;
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('comes up after an `up` that was killed half way', () => {
    expect(life.daemonsWhenKilled).toContain('kube-apiserver');
    expect(life.daemonsWhenKilled).not.toContain('kubelet');
    expect(life.status).toMatch(/kubelet runs as process \d+[\s\S]*up: /);
  });

  it('is left as it is by a second `up`', () => {
    expect(life.firstPids.length).toBeGreaterThan(0);
    expect(life.secondPids).toEqual(life.firstPids);
  });

  it('leaves no process, mount, network device, packet filter rule, kernel setting or file behind', () => {
    expect(life.mountsWithPod).toBeGreaterThan(0);
    expect(life.processesLeft).toEqual([]);
    expect(life.leftovers).toEqual([]);
  });
});
