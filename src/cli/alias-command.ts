import { Command } from 'commander';
import { moveAlias } from '../controllers/model/move-alias.ts';
import { type ClusterFlags, onCluster, withClusterFlags } from './cluster.ts';

interface SetFlags extends ClusterFlags {
  readonly from?: string;
  readonly force: boolean;
}

const set = withClusterFlags(new Command('set'))
  .description('let an alias stand for another version: whatever follows it rolls that out')
  .argument('<model>', 'the Model')
  .argument('<alias>', 'the alias, such as champion')
  .argument('<version>', 'the version that it is to stand for')
  .option('--from <version>', 'fail unless it stands for this version now')
  .option('--force', 'also where another program declares the alias and may put it back', false)
  .action(async (model: string, alias: string, version: string, { from, force, ...flags }: SetFlags, self: Command) => {
    await onCluster(self, flags, async ({ client, namespace, whoAmI }) => {
      const request = { model: { namespace, name: model }, alias, to: version, by: await whoAmI(), force };
      const done = await moveAlias(client, { ...request, ...(from !== undefined && { from }) });
      const before = done.from === undefined ? 'nothing' : done.from;
      const told = done.moved ? `moved from ${before} to ${done.to}` : `stood for ${done.to} already`;
      process.stdout.write(`${model}: ${alias} ${told}\n`);
    });
  });

export const command = new Command('alias').description('Move an alias of a model').addCommand(set);
