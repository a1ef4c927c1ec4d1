import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { engineThreads } from './cpu-limit.ts';
import { scratch } from './load-fixture.ts';

it.each([
  ['no limit (v2)', { 'cpu.max': 'max 100000' }, 64, 4],
  ['two CPUs (v2)', { 'cpu.max': '200000 100000' }, 64, 2],
  ['one and a half CPUs', { 'cpu.max': '150000 100000' }, 64, 1],
  ['a tenth of a CPU', { 'cpu.max': '10000 100000' }, 64, 1],
  ['more CPUs than the machine has', { 'cpu.max': '1600000 100000' }, 8, 8],
  ['sixteen CPUs', { 'cpu.max': '1600000 100000' }, 64, 16],
  ['three CPUs (v1)', { 'cpu/cpu.cfs_quota_us': '300000', 'cpu/cpu.cfs_period_us': '100000' }, 64, 3],
  ['no limit (v1)', { 'cpu/cpu.cfs_quota_us': '-1', 'cpu/cpu.cfs_period_us': '100000' }, 64, 4],
  ['no cgroups at all', {}, 2, 2],
])('a container with %s uses as many threads as it may', async (_name, files, cores, threads) => {
  await using root = await scratch();
  await mkdir(join(root.path, 'cpu'));
  for (const [path, content] of Object.entries(files)) await writeFile(join(root.path, path), `${content}\n`);
  expect(engineThreads(root.path, cores)).toBe(threads);
});
