import { Command, Option } from 'commander';
import { type ClusterFlags, CommandError, onCluster, withClusterFlags } from './cluster.ts';
import { type RolloutView, rolloutTree } from './rollout-tree.ts';
import { Screen } from './screen.ts';
import { type RenderOptions, renderTree } from './tree.ts';
import { readRollout, watchRollout } from './watched-rollout.ts';

interface GetFlags extends ClusterFlags {
  readonly watch: boolean;
  readonly output?: 'json';
}

/** A countdown moves though nothing else does. */
const TICK_MS = 1000;

const rollout = withClusterFlags(new Command('rollout'))
  .description('what serves, what is coming, how far it is, and what it waits for')
  .argument('<name>', 'the ModelDeployment')
  .option('-w, --watch', 'go on showing it as it changes, until Ctrl-C', false)
  .addOption(new Option('-o, --output <format>', 'the objects instead of a tree').choices(['json']))
  .action(async (name: string, flags: GetFlags, self: Command) => {
    await onCluster(self, flags, async ({ client, namespace, unread }) => {
      const at = { namespace, name };
      if (!flags.watch) {
        process.stdout.write(`${shown(await readRollout(client, at), flags)}\n`);
        return;
      }
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      process.once('SIGTERM', () => stop.abort());
      unread.addEventListener('abort', () => stop.abort());
      // Also says at once that there is no such object, where waiting for one would be of no help.
      let view: RolloutView | undefined = await readRollout(client, at);
      const screen = new Screen(process.stdout);
      let lost = '';
      const show = () => view !== undefined && screen.show(`${shown({ ...view, nowMs: Date.now() }, flags)}${lost}`);
      const tick = screen.isTerminal && flags.output === undefined ? setInterval(show, TICK_MS) : undefined;
      try {
        await watchRollout(client, at, stop.signal, {
          changed: (changed) => {
            view = changed;
            if (changed === undefined) stop.abort();
            else show();
          },
          lost: (problem) => {
            const since = new Date().toISOString();
            const line = problem === undefined ? '' : `not heard from the API server since ${since}: ${problem}`;
            if (flags.output === 'json') process.stderr.write(`${line || 'the API server is heard from again'}\n`);
            else lost = line && `\n${line}`;
            show();
          },
        });
      } finally {
        clearInterval(tick);
      }
      if (view === undefined) throw new CommandError(`ModelDeployment ${name} was deleted`);
    });
  });

export const command = new Command('get').description('Show the state of a rollout').addCommand(rollout);

function shown(view: RolloutView, { output }: GetFlags): string {
  if (output === 'json') {
    const { object, pods } = view;
    return JSON.stringify({ object, pods: Object.fromEntries(pods) }, undefined, 2);
  }
  return renderTree(rolloutTree(view), terminalOptions(process.stdout));
}

/** Of a terminal its width, and colours, where its user did not decline them. */
export function terminalOptions(stream: NodeJS.WriteStream): RenderOptions {
  return stream.isTTY
    ? { isTerminal: stream.hasColors(), columns: stream.columns }
    : { isTerminal: false, columns: undefined };
}
