import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Runs `work` while no other process on this machine holds the lock of this file. The kernel frees the lock when this
 * process ends, however it ends: a killed run never blocks the next.
 */
export async function withLock<T>(file: string, onWait: () => void, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(file), { recursive: true });
  const holder = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'exit');
  const waiting = setTimeout(onWait, 500);
  try {
    const held = await Promise.race([once(holder.stdout, 'data'), ended]);
    if (typeof held[0] === 'number') throw new Error(`cannot lock ${file}: flock ended with exit code ${held[0]}`);
    clearTimeout(waiting);
    return await work();
  } finally {
    clearTimeout(waiting);
    holder.stdin.end();
    await ended;
  }
}
