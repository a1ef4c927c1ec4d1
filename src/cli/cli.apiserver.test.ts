import { spawn } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { ownKubeconfig } from '../../e2e/cluster/own-control-plane.ts';
import { ANNOTATIONS } from '../api/names.ts';
import type { ModelDeploymentStatus } from '../api/v1alpha1/model-deployment-status.ts';
import { MODEL_DEPLOYMENTS, MODELS } from '../controllers/kinds.ts';
import { AuditedCluster, eventually } from '../runtime/testing/cluster.ts';
import { requestAction } from './request-action.ts';

/** The program itself, as a person starts it; the test plays the operator. */

const kubeconfig = ownKubeconfig();
let cluster: AuditedCluster;
let namespace: string;

beforeAll(async () => {
  cluster = new AuditedCluster(kubeconfig);
  namespace = await cluster.createNamespace();
});
afterAll(async () => await cluster.close());

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

function start(...args: readonly string[]) {
  const child = spawn(process.execPath, [inject('program'), ...args, '--kubeconfig', kubeconfig, '-n', namespace]);
  const said = { output: '', errors: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    said.output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said.errors += chunk.toString();
  });
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, ...said })));
  return { said, ended, stopReading: () => child.stdout.destroy() };
}

const fairlead = (...args: readonly string[]) => start(...args).ended;

const churn = () => ({ namespace, name: 'churn' });
const read = () => cluster.client.get(MODEL_DEPLOYMENTS, churn());
const tell = (status: ModelDeploymentStatus) =>
  cluster.client.mergePatch(MODEL_DEPLOYMENTS, churn(), { status }, 'status');

const status: ModelDeploymentStatus = {
  phase: 'Progressing',
  stable: { revision: 'churn-6b7f', replicas: 2, ready: 2 },
  canary: { revision: 'churn-9c1d', replicas: 1, ready: 1, weight: 10 },
  rollout: { step: '3/4', action: '@churn-9c1d#3', message: '312 of 500 requests' },
};

/** Handles the next action as the operator does. */
async function handle(result: 'Done' | 'Refused', message: string): Promise<void> {
  let action: string | undefined;
  await eventually('an action is asked for', async () => {
    action = (await read()).metadata.annotations?.[ANNOTATIONS.action];
    return action !== undefined;
  });
  await tell({ lastHandledAction: { action: action ?? '', by: 'admin', at: '2026-05-01T12:00:00Z', result, message } });
}

beforeEach(async () => {
  await cluster.client.delete(MODEL_DEPLOYMENTS, churn()).catch(() => undefined);
  await cluster.client.create(MODEL_DEPLOYMENTS, {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: churn(),
    spec: { model: { uri: 's3://models/churn/7/' } },
  });
  await tell(status);
});

describe('fairlead promote and its like', () => {
  test('ask in the name of the user, wait, and show what came of it', async () => {
    const [ended] = await Promise.all([fairlead('promote', 'churn'), handle('Done', 'goes on to step 4')]);
    expect(ended).toMatchObject({ code: 0, errors: '' });
    expect(ended.output).toContain('promote@churn-9c1d#3: goes on to step 4\nchurn  Progressing');
    expect((await read()).metadata.annotations).toMatchObject({
      [ANNOTATIONS.action]: 'promote@churn-9c1d#3',
      [ANNOTATIONS.actionBy]: 'admin',
    });
  });

  test('end with the reason and exit code 1 where they are refused', async () => {
    const [ended] = await Promise.all([fairlead('resume', 'churn'), handle('Refused', 'it is not paused')]);
    expect(ended).toMatchObject({
      code: 1,
      output: '',
      errors: expect.stringContaining('was refused: it is not paused'),
    });
  });

  test('wait for as long as they are told to, also for longer than timers of Node last', async () => {
    const long = fairlead('promote', 'churn', '--timeout', '2147484');
    const [ended] = await Promise.all([long, handle('Done', 'goes on')]);
    expect(ended).toMatchObject({ code: 0, errors: '' });
  });

  test('end with exit code 1 where nobody handles them in time', async () => {
    const ended = await fairlead('abort', 'churn', '--timeout', '1');
    expect(ended).toMatchObject({ code: 1, errors: expect.stringContaining('has not handled it within 1 s') });
  });

  test.each([
    [['promote', 'churn', '--full', '--no-wait'], 'promote-full@churn-9c1d#3'],
    [['undo', 'churn', '--no-wait'], 'undo@churn-9c1d#3'],
  ])('%j asks for %s', async (args, action) => {
    expect(await fairlead(...args)).toMatchObject({ code: 0, output: `asked for ${action}\n` });
  });

  test('say that there is nothing to act on', async () => {
    await cluster.client.mergePatch(MODEL_DEPLOYMENTS, churn(), { status: { rollout: null } }, 'status');
    expect(await fairlead('promote', 'churn')).toMatchObject({
      code: 1,
      errors: expect.stringContaining('no rollout'),
    });
  });

  test('say that there is no such object', async () => {
    const errors = `error: there is no ModelDeployment missing in namespace ${namespace}\n`;
    expect(await fairlead('pause', 'missing')).toMatchObject({ code: 1, errors });
  });

  test('never act on a rollout that moved on since it was looked at', async () => {
    let reads = 0;
    const behind = Object.create(cluster.client, {
      get: {
        value: async (...args: Parameters<typeof cluster.client.get>) => {
          const object = await cluster.client.get(...args);
          if (++reads === 1) await tell({ rollout: { step: '4/4', action: '@churn-9c1d#4' } });
          return object;
        },
      },
      mergePatch: { value: cluster.client.mergePatch.bind(cluster.client) },
    });
    await expect(requestAction(behind, { name: churn(), verb: 'promote', by: 'admin' })).rejects.toThrow(
      'the rollout moved on meanwhile, from @churn-9c1d#3 to @churn-9c1d#4',
    );
    expect((await read()).metadata.annotations ?? {}).not.toHaveProperty(ANNOTATIONS.action);
  });
});

describe('fairlead get rollout', () => {
  test('shows a tree without control characters where nobody looks at it in a terminal', async () => {
    const { code, output } = await fairlead('get', 'rollout', 'churn');
    expect(code).toBe(0);
    expect(output).toContain('├─ canary  churn-9c1d  10% of the traffic  1/1 ready');
    expect(output).not.toContain('\u001b');
  });

  test('shows the objects as JSON', async () => {
    const { output } = await fairlead('get', 'rollout', 'churn', '-o', 'json');
    expect(JSON.parse(output)).toMatchObject({ object: { status: { phase: 'Progressing' } }, pods: {} });
  });

  test('-w shows changes as they come, and says when the object is gone', async () => {
    const { said, ended } = start('get', 'rollout', 'churn', '-w');
    const shows = (text: string) => eventually(`it shows ${text}`, () => said.output.includes(text));
    await shows('10% of the traffic');
    await tell({ canary: { revision: 'churn-9c1d', replicas: 2, ready: 2, weight: 50 } });
    await shows('50% of the traffic');
    await cluster.client.delete(MODEL_DEPLOYMENTS, churn());
    expect(await ended).toMatchObject({ code: 1, errors: 'error: ModelDeployment churn was deleted\n' });
  });
});

describe('where nobody reads the output any more, as after head', () => {
  test('-w ends without a word', async () => {
    const { said, stopReading, ended } = start('get', 'rollout', 'churn', '-w');
    await eventually('it shows something', () => said.output !== '');
    stopReading();
    await tell({ canary: { revision: 'churn-9c1d', replicas: 2, ready: 2, weight: 50 } });
    expect(await ended).toMatchObject({ code: 0, errors: '' });
  });

  test.each([
    ['get', 'rollout', 'churn'],
    ['undo', 'churn', '--no-wait'],
  ])('so does %s %s', async (...args) => {
    const { stopReading, ended } = start(...args);
    stopReading();
    expect(await ended).toMatchObject({ code: 0, errors: '' });
  });
});

describe('fairlead alias set', () => {
  test('moves an alias in the name of the user, and tells the loser of a race', async () => {
    const name = { namespace, name: 'churn' };
    const manifest = { apiVersion: 'fairlead.dev/v1alpha1', kind: 'Model', metadata: name };
    await cluster.client.create(MODELS, { ...manifest, spec: { aliases: { champion: '6' } } });
    const output = 'churn: champion moved from 6 to 7\n';
    expect(await fairlead('alias', 'set', 'churn', 'champion', '7', '--from', '6')).toMatchObject({ code: 0, output });
    expect((await cluster.client.get(MODELS, name)).metadata.annotations?.[ANNOTATIONS.aliasMoveBy]).toBe('admin');
    expect(await fairlead('alias', 'set', 'churn', 'champion', '8', '--from', '6')).toMatchObject({
      code: 1,
      errors: 'error: churn: champion stands for 7, not for 6: it was not moved to 8\n',
    });
  });
});
