#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';
import { Command } from 'commander';

/**
 * What a request allocates dies with it, and V8 is not to learn otherwise: the first of Node's streams hold everything
 * that hangs on them for a while (WritableState writes a function as a property's value, which goes to the old space), and
 * V8 concludes from that to allocate there whatever comes after. Half of the heap was then kept at each scavenge (40 ms
 * in place of 3), for as long as the process ran. docs/decisions/0026.
 */
setFlagsFromString('--no-allocation-site-pretenuring');

/**
 * One program, several roles. Each role is imported only when it is asked for: a server never pays for the Kubernetes
 * client, nor the operator for the inference engine.
 */
const roles: Readonly<Record<string, () => Promise<{ command: Command }>>> = {
  operator: () => import('./operator.ts'),
  router: () => import('./router.ts'),
  server: () => import('./serving/server-command.ts'),
  resolve: () => import('./serving/resolve-command.ts'),
  registry: () => import('./registry/registry-command.ts'),
  get: () => import('./cli/get-command.ts'),
  ...Object.fromEntries(
    (['promote', 'pause', 'resume', 'abort', 'retry', 'undo'] as const).map((verb) => [
      verb,
      async () => ({ command: (await import('./cli/action-commands.ts')).actionCommand(verb) }),
    ]),
  ),
  alias: () => import('./cli/alias-command.ts'),
  analyse: () => import('./cli/analyse/analyse-command.ts'),
  record: () => import('./cli/analyse/record-command.ts'),
};

/**
 * As process 1 of a container nothing ends on SIGTERM by itself: a pod that is deleted while it starts would last for its
 * whole grace period. Until a role has its own way to stop, this one does.
 */
const endAtOnce = () => process.exit(143);
process.on('SIGTERM', endAtOnce);
process.on('newListener', (event) => {
  // Not before the other listens: without any listener Node leaves the signal to its default, and does not take it up again.
  if (event === 'SIGTERM') queueMicrotask(() => process.off('SIGTERM', endAtOnce));
});

const program = new Command('fairlead').description('Runs machine-learning models in production on Kubernetes');
const asked = process.argv[2] ?? '';
const load = Object.hasOwn(roles, asked) ? roles[asked] : undefined;
// All of them, to be shown, or for one that was meant to be suggested.
const loads = load === undefined ? Object.values(roles) : [load];
for (const loadOne of loads) program.addCommand((await loadOne()).command);
if (load === undefined)
  program.showHelpAfterError('(flags go behind the verb: fairlead get rollout NAME -n NAMESPACE)');
await program.parseAsync();
