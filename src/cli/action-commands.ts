import { Command, InvalidArgumentError } from 'commander';
import type { HandledAction } from '../api/v1alpha1/model-deployment-status.ts';
import type { ActionVerb } from '../rollout/action.ts';
import { systemClock } from '../runtime/clock.ts';
import { type Cluster, type ClusterFlags, CommandError, onCluster, sentenceOf, withClusterFlags } from './cluster.ts';
import { terminalOptions } from './get-command.ts';
import { outcomeOf, requestAction } from './request-action.ts';
import { type RolloutView, rolloutTree } from './rollout-tree.ts';
import { renderTree } from './tree.ts';
import { readRollout, watchRollout } from './watched-rollout.ts';

interface ActionFlags extends ClusterFlags {
  readonly full?: boolean;
  readonly wait: boolean;
  readonly timeout: number;
}

const DESCRIPTIONS = {
  promote: 'Let a rollout go on to its next step',
  pause: 'Hold a rollout where it is',
  resume: 'Let a paused rollout go on',
  abort: 'Take the new revision back',
  retry: 'Try a revision again that was taken back',
  undo: 'Go back to the revision before',
} as const;
type CommandName = keyof typeof DESCRIPTIONS;

/** One command a verb. Each sets the one annotation that people with kubectl alone can set too. */
export function actionCommand(name: CommandName): Command {
  const command = withClusterFlags(new Command(name))
    .description(DESCRIPTIONS[name])
    .argument('<name>', 'the ModelDeployment')
    .option('--no-wait', 'do not wait until the operator has handled it')
    .option('--timeout <seconds>', 'how long to wait', toSeconds, 30)
    .action(async (deployment: string, flags: ActionFlags, self: Command) => {
      const verb: ActionVerb = name === 'promote' && flags.full === true ? 'promote-full' : name;
      await onCluster(self, flags, (cluster) => act(cluster, deployment, verb, flags));
    });
  return name === 'promote' ? command.option('--full', 'past all steps that are left, at once') : command;
}

async function act(
  cluster: Cluster,
  deployment: string,
  verb: ActionVerb,
  { wait, timeout }: ActionFlags,
): Promise<void> {
  const { client, namespace } = cluster;
  const name = { namespace, name: deployment };
  const action = await requestAction(client, { name, verb, by: await cluster.whoAmI() });
  if (!wait) {
    process.stdout.write(`asked for ${action}\n`);
    return;
  }
  const stop = new AbortController();
  const cancelTimer = systemClock.after(timeout * 1000, () => stop.abort());
  let handled: { readonly outcome: HandledAction; readonly view: RolloutView } | undefined;
  try {
    // What cannot be read now would be waited for in vain.
    await readRollout(client, name);
    await watchRollout(client, name, stop.signal, {
      changed: (view) => {
        const outcome = view && outcomeOf(view.object, action);
        if (view === undefined || outcome === undefined || handled !== undefined) return;
        handled = { outcome, view };
        stop.abort();
      },
    });
    // An API server that went away meanwhile says nothing of the operator.
    if (handled === undefined) await readRollout(client, name);
  } catch (error) {
    throw new CommandError(`asked for ${action}, but what comes of it cannot be seen: ${sentenceOf(error)}`);
  } finally {
    cancelTimer();
  }
  if (handled === undefined) {
    throw new CommandError(
      `asked for ${action}, but the operator has not handled it within ${timeout} s: is it running?`,
    );
  }
  const { outcome, view } = handled;
  const message = outcome.message === undefined ? '' : `: ${outcome.message}`;
  if (outcome.result === 'Refused') throw new CommandError(`${action} was refused${message}`);
  process.stdout.write(`${action}${message}\n${renderTree(rolloutTree(view), terminalOptions(process.stdout))}\n`);
}

function toSeconds(text: string): number {
  const seconds = Number(text);
  if (!Number.isFinite(seconds) || seconds <= 0)
    throw new InvalidArgumentError('It must be a number of seconds above 0.');
  return seconds;
}
