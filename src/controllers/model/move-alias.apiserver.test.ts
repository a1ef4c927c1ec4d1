import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { AuditedCluster, eventually } from '../../runtime/testing/cluster.ts';
import { MODELS, type Model } from '../kinds.ts';
import { OperatorUnderTest } from '../testing/operator-under-test.ts';
import { type AliasMoveRequest, moveAlias } from './move-alias.ts';

const kubeconfig = ownKubeconfig();
let cluster: AuditedCluster;
let namespace: string;

beforeEach(async () => {
  cluster = new AuditedCluster(kubeconfig, {}, 'fairlead-cli');
  namespace = await cluster.createNamespace();
});
afterEach(async () => await cluster.close());

const name = () => ({ namespace, name: 'churn' });
const manifest = (aliases: Record<string, string>) => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'Model',
  metadata: name(),
  spec: { aliases },
});
const move = (request: Partial<AliasMoveRequest> & { to: string }) =>
  moveAlias(cluster.client, { model: name(), alias: 'champion', by: 'admin', ...request });
const aliases = async () => (await cluster.client.get(MODELS, name())).spec.aliases;

describe('a move of an alias', () => {
  test('changes this alias and no other, and says whence it came', async () => {
    await cluster.client.create(MODELS, manifest({ champion: '6', challenger: '7' }));
    expect(await move({ to: '7' })).toEqual({ from: '6', to: '7', moved: true });
    expect(await aliases()).toEqual({ champion: '7', challenger: '7' });
    expect(await move({ to: '7' })).toEqual({ from: '7', to: '7', moved: false });
  });

  test('makes a new alias, where none is expected', async () => {
    await cluster.client.create(MODELS, manifest({}));
    expect(await move({ to: '1', from: null })).toEqual({ from: undefined, to: '1', moved: true });
    await expect(move({ to: '2', from: null })).rejects.toThrow('champion stands for 1, not for nothing');
  });

  test('from a version that it does not stand for is lost, and nothing is written', async () => {
    await cluster.client.create(MODELS, manifest({ champion: '6' }));
    await expect(move({ to: '7', from: '5' })).rejects.toMatchObject({
      name: 'AliasMoveLostError',
      message: 'churn: champion stands for 6, not for 5: it was not moved to 7',
    });
    expect(await aliases()).toEqual({ champion: '6' });
  });

  test('to a version that no alias can stand for is refused with the field', async () => {
    await cluster.client.create(MODELS, manifest({ champion: '6' }));
    await expect(move({ to: '7 ' })).rejects.toMatchObject({
      isInvalid: true,
      message: expect.stringContaining('champion'),
    });
  });

  test('of many at once has one winner, and every loser is told', async () => {
    await cluster.client.create(MODELS, manifest({ champion: '6' }));
    const moves = await Promise.allSettled(
      Array.from({ length: 12 }, (_, n) => move({ to: String(100 + n), from: '6' })),
    );
    const [won, ...others] = moves.filter(({ status }) => status === 'fulfilled');
    expect(others).toEqual([]);
    expect(await aliases()).toEqual({ champion: (won as PromiseFulfilledResult<{ to: string }>).value.to });
    for (const each of moves) {
      if (each.status === 'rejected') expect(each.reason).toMatchObject({ name: 'AliasMoveLostError' });
    }
  });

  test('goes through while others write the Model, but not its alias', async () => {
    await cluster.client.create(MODELS, manifest({ champion: '6' }));
    let writes = 0;
    const label = async () => {
      await cluster.client.mergePatch(MODELS, name(), { metadata: { labels: { writes: String(++writes) } } });
    };
    const disturbed: Parameters<typeof moveAlias>[0] = {
      get: async (resource, of) => {
        const read = await cluster.client.get(resource, of);
        if (writes < 3) await label();
        return read;
      },
      jsonPatch: (resource, of, patch) => cluster.client.jsonPatch(resource, of, patch),
    };
    await moveAlias(disturbed, { model: name(), alias: 'champion', to: '7', from: '6', by: 'admin' });
    expect(writes).toBe(3);
    expect(await aliases()).toEqual({ champion: '7' });
  });

  test('of an alias that a deployer declares is a commit there, unless it is forced', async () => {
    const deployer = new AuditedCluster(kubeconfig, {}, 'argocd-controller');
    await deployer.client.apply(MODELS, manifest({ champion: '6' }), true);
    await deployer.close();
    await expect(move({ to: '7' })).rejects.toMatchObject({
      name: 'AliasDeclaredElsewhereError',
      message: expect.stringContaining('declared by argocd-controller'),
    });
    expect(await move({ to: '7', force: true })).toMatchObject({ moved: true });
  });
});

describe('the history of a Model', () => {
  let operator: OperatorUnderTest;
  beforeEach(() => {
    operator = new OperatorUnderTest(kubeconfig, { namespace });
  });
  afterEach(async () => await operator.stop());

  const untilRecorded = async (version: string) => {
    let model: Model | undefined;
    await eventually(`champion ${version} is recorded`, async () => {
      model = await cluster.client.get(MODELS, name());
      return model.status?.aliases?.champion === version;
    });
    return model?.status?.history ?? [];
  };

  test('tells who moved an alias, whence and whither, and of a move without a name which program wrote it', async () => {
    await cluster.client.create(MODELS, manifest({ champion: '6' }));
    expect(await untilRecorded('6')).toMatchObject([{ alias: 'champion', to: '6', manager: 'fairlead-cli' }]);
    await move({ to: '7', from: '6' });
    expect((await untilRecorded('7'))[0]).toMatchObject({ from: '6', to: '7', by: 'admin', manager: 'fairlead-cli' });
    const editor = new AuditedCluster(kubeconfig, {}, 'kubectl-edit');
    await editor.client.mergePatch(MODELS, name(), { spec: { aliases: { champion: '6' } } });
    await editor.close();
    const history = await untilRecorded('6');
    expect(history[0]).toMatchObject({ from: '7', to: '6', manager: 'kubectl-edit' });
    expect(history[0]).not.toHaveProperty('by');
    expect(history).toHaveLength(3);
  });

  test('of a moved alias tells the loser of a race who was faster', async () => {
    await cluster.client.create(MODELS, manifest({ champion: '6' }));
    await move({ to: '7', from: '6' });
    await untilRecorded('7');
    await expect(move({ to: '8', from: '6' })).rejects.toThrow(
      /champion stands for 7 \(moved by admin, .*\), not for 6/,
    );
  });
});
