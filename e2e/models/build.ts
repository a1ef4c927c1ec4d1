#!/usr/bin/env node
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { pythonWith } from './python.ts';

/** Trains and writes every model of this folder again: `node e2e/models/build.ts`. */
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const python = pythonWith(here('requirements.txt'));
for (const script of ['train.py', 'faulty.py', 'tiny.py']) {
  // One thread: sums in a fixed order give the same bytes again.
  const env = { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' };
  const { status } = spawnSync(python, [here(script)], { stdio: 'inherit', env });
  if (status !== 0) process.exit(status ?? 1);
}
