import { readdir, readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { NODE_IP } from './address-plan.ts';
import { targetFromEnvironment } from './target.ts';

const { context, kind } = targetFromEnvironment(process.env);

/**
 * Whether this machine is the real node of Fairlead's own cluster: pods reach what listens on NODE_IP here, and their
 * processes are processes of this machine. With a cluster of the user's neither is so.
 */
export const isOwnNode =
  context === undefined &&
  kind !== true &&
  Object.values(networkInterfaces())
    .flat()
    .some((each) => each?.address === NODE_IP);

/** What a test that asks for `isOwnNode` needs, for people. */
export const OWN_NODE = "Fairlead's own cluster, whose node is this machine";

/**
 * Kills a container at once and without a warning, as kubectl cannot: what it deletes by force is still told to stop.
 * @param containerId as in a pod's status, such as `containerd://1f0c...`
 * @throws Error when it does not run on this node.
 */
export async function killContainer(containerId: string): Promise<void> {
  const id = containerId.replace(/^.*:\/\//, '');
  const processes = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const ofContainer = await Promise.all(
    processes.map(async (pid) => {
      const group = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
      return group.includes(id) ? [Number(pid)] : [];
    }),
  );
  const pids = ofContainer.flat();
  if (pids.length === 0) throw new Error(`no process of container ${containerId} runs on this node`);
  for (const pid of pids) process.kill(pid, 'SIGKILL');
}
