import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { command } from '../../../e2e/cluster/command.ts';
import { ensureKubernetes } from '../../../e2e/cluster/kubernetes.ts';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { ACTION_VERBS } from '../../rollout/action.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { ANNOTATIONS } from '../names.ts';
import { CONFIG } from './manifests.ts';

/** Who may act, and in whose name: what the API server itself checks, whatever the client is. */

const NAMESPACE = 'policies';
const OPERATOR = 'system:serviceaccount:fairlead-system:fairlead';
const PIPELINE = `system:serviceaccount:${NAMESPACE}:pipeline`;
let kubectl: (...args: string[]) => Promise<string>;
let asUser: (user: string) => (...args: string[]) => Promise<string>;

const deployment = (annotations: Record<string, string> = {}, name = 'churn') => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: { name, namespace: NAMESPACE, annotations },
  spec: { model: { uri: 's3://models/churn/7/' } },
});
const model = (aliases: Record<string, string>) => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'Model',
  metadata: { name: 'churn', namespace: NAMESPACE },
  spec: { aliases },
});

let send: (user: string | undefined, verb: 'create' | 'apply', object: object, ...args: string[]) => Promise<string>;
/** Sets annotations of the ModelDeployment; `null` removes one. */
let annotate: (user: string, annotations: Record<string, string | null>, resource?: string) => Promise<string>;

beforeAll(async () => {
  const program = (await ensureKubernetes())('kubectl');
  const flags = ['--kubeconfig', ownKubeconfig(), '-n', NAMESPACE];
  kubectl = (...args) => command(program, [...flags, ...args]);
  asUser =
    (user) =>
    (...args) =>
      kubectl(...args, '--as', user);
  send = (user, verb, object, ...args) =>
    command(program, [...flags, verb, '-f', '-', ...(user === undefined ? [] : ['--as', user]), ...args], {
      input: JSON.stringify(object),
    });
  annotate = (user, annotations, resource = 'modeldeployment/churn') =>
    asUser(user)('patch', resource, '--type=merge', '-p', JSON.stringify({ metadata: { annotations } }));
  await kubectl('create', 'namespace', NAMESPACE);
  for (const role of ['edit', 'promote', 'operator']) {
    await kubectl('apply', '-f', join(CONFIG, `rbac/${role}-role.yaml`));
  }
  await kubectl('apply', '-k', join(CONFIG, 'policies'));
  const bind = (name: string, role: string, users: readonly string[]) =>
    kubectl('create', 'rolebinding', name, `--clusterrole=${role}`, ...users.map((user) => `--user=${user}`));
  await bind('editors', 'fairlead-edit', ['dana', 'bob', PIPELINE]);
  await bind('leads', 'fairlead-promote', ['dana', PIPELINE]);
  await bind('operator', 'fairlead-operator', [OPERATOR]);
  // Kubernetes' own role view is empty here, where no controller aggregates.
  const reads = ['--verb=get,list,watch', '--resource=modeldeployments.fairlead.dev,models.fairlead.dev'];
  await kubectl('create', 'role', 'reader', ...reads);
  await kubectl(
    'create',
    'rolebinding',
    'readers',
    '--role=reader',
    ...['dana', 'bob', PIPELINE].map((user) => `--user=${user}`),
  );
  // kubectl reads what it patches, which the operator does not need to.
  await kubectl('create', 'role', 'patcher', '--verb=get', '--resource=modeldeployments.fairlead.dev/status');
  await kubectl('create', 'rolebinding', 'patcher', '--role=patcher', `--user=${OPERATOR}`);
  const forged = deployment({ [ANNOTATIONS.action]: 'promote@x#1', [ANNOTATIONS.actionBy]: 'nobody' }, 'probe');
  await eventually('the policies are in force', () =>
    send(undefined, 'create', forged, '--dry-run=server').then(
      () => false,
      (error: Error) => error.message.includes('fairlead-action'),
    ),
  );
});
afterAll(async () => {
  await kubectl('delete', '-k', join(CONFIG, 'policies'));
  for (const role of ['edit', 'promote', 'operator']) await kubectl('delete', 'clusterrole', `fairlead-${role}`);
  await kubectl('delete', 'namespace', NAMESPACE, '--wait=false');
});
beforeEach(async () => {
  await kubectl('delete', 'modeldeployment', 'churn', '--ignore-not-found');
  await send('dana', 'create', deployment());
});

const asks = (verb: string, by: string) => ({
  [ANNOTATIONS.action]: `${verb}@churn-9c1d#3`,
  [ANNOTATIONS.actionBy]: by,
});

describe('an action', () => {
  test('carries the name of the user who asks for it', async () => {
    await annotate('dana', asks('promote', 'dana'));
    const got = JSON.parse(await kubectl('get', 'modeldeployment', 'churn', '-o', 'json'));
    expect(got.metadata.annotations).toMatchObject(asks('promote', 'dana'));
  });

  test.each([
    ['in the name of another', 'bob', asks('pause', 'dana')],
    ['in nobody’s name', 'bob', { [ANNOTATIONS.action]: 'pause@churn-9c1d#3' }],
    ['in the name of a service account', 'dana', asks('promote', PIPELINE)],
    ['in a name that differs in case', 'dana', asks('promote', 'Dana')],
    ['by a cluster administrator in the name of another', 'admin', asks('promote', 'dana')],
  ])('%s is refused, and the message says what is needed', async (_title, user, annotations) => {
    const by =
      user === 'admin'
        ? kubectl('annotate', 'modeldeployment/churn', ...pairs(annotations))
        : annotate(user, annotations);
    await expect(by).rejects.toThrow(`needs fairlead.dev/action-by: "${user}"`);
  });

  test('of another leaves no stale name behind', async () => {
    await annotate('dana', asks('promote', 'dana'));
    await expect(annotate('bob', { [ANNOTATIONS.action]: 'abort@churn-9c1d#3' })).rejects.toThrow('action-by: "bob"');
    await annotate('bob', asks('abort', 'bob'));
    await expect(annotate('dana', { [ANNOTATIONS.actionBy]: 'dana', [ANNOTATIONS.action]: null })).rejects.toThrow(
      'goes with it',
    );
    await annotate('dana', { [ANNOTATIONS.actionBy]: null, [ANNOTATIONS.action]: null });
  });

  test.each(['promote', 'promote-full', 'resume', 'retry'])('%s takes the verb promote of RBAC', async (verb) => {
    await expect(annotate('bob', asks(verb, 'bob'))).rejects.toThrow(
      `user "bob" may not ${verb} ModelDeployment "churn"`,
    );
    await annotate('dana', asks(verb, 'dana'));
  });

  test.each(['pause', 'abort', 'undo'])('%s takes the verb abort, which editors have', async (verb) => {
    await annotate('bob', asks(verb, 'bob'));
  });

  test('of a service account that has the verb is in its full name', async () => {
    await annotate(PIPELINE, asks('promote', PIPELINE));
  });

  test.each(ACTION_VERBS)('%s is known to the policy, also when it is asked for again', async (verb) => {
    await annotate('dana', { ...asks(verb, 'dana'), [ANNOTATIONS.action]: `${verb}@churn-9c1d#3.2` });
  });

  test.each(['promote', 'promote@churn', 'promote@churn#', 'explode@churn-9c1d#3', 'promote@churn-9c1d#3 '])(
    'written as "%s" is refused',
    async (action) => {
      const annotations = { [ANNOTATIONS.action]: action, [ANNOTATIONS.actionBy]: 'dana' };
      await expect(annotate('dana', annotations)).rejects.toThrow('is not VERB@REVISION#STEP');
    },
  );

  test('in an object that is created is checked alike', async () => {
    const with_ = (by: string) => deployment(asks('promote', by), 'restored');
    await expect(send('bob', 'create', with_('dana'))).rejects.toThrow('action-by: "bob"');
    await expect(send('bob', 'create', with_('bob'))).rejects.toThrow('may not promote');
    await send('dana', 'create', with_('dana'));
  });

  test('counts in its namespace only', async () => {
    await kubectl('create', 'namespace', `${NAMESPACE}-other`);
    try {
      const elsewhere = deployment(asks('promote', 'dana'));
      const object = { ...elsewhere, metadata: { ...elsewhere.metadata, namespace: `${NAMESPACE}-other` } };
      await kubectl(
        'create',
        'rolebinding',
        'editors',
        '--clusterrole=fairlead-edit',
        '--user=dana',
        '-n',
        `${NAMESPACE}-other`,
      );
      // Until the API server knows the new binding, she is refused for want of that.
      await eventually('it is the policy that refuses', () =>
        send('dana', 'create', object, '-n', `${NAMESPACE}-other`).then(
          () => false,
          (error: Error) => error.message.includes('may not promote'),
        ),
      );
    } finally {
      await kubectl('delete', 'namespace', `${NAMESPACE}-other`, '--wait=false');
    }
  });
});

describe('whoever asks for nothing is not held up', () => {
  beforeEach(async () => {
    await annotate('dana', asks('promote', 'dana'));
  });

  test('an editor changes the spec, labels and other annotations beside an action of another', async () => {
    const change = { spec: { replicas: 3 }, metadata: { labels: { team: 'shop' }, annotations: { note: 'x' } } };
    await asUser('bob')('patch', 'modeldeployment/churn', '--type=merge', '-p', JSON.stringify(change));
  });

  test('a deployer that applies the whole object leaves the action where it is', async () => {
    const { metadata, ...rest } = deployment();
    const { annotations: _none, ...name } = metadata;
    const manifest = { ...rest, metadata: { ...name, labels: { team: 'shop' } } };
    await send('bob', 'apply', manifest, '--server-side', '--force-conflicts', '--field-manager=argocd-controller');
    const got = JSON.parse(await kubectl('get', 'modeldeployment', 'churn', '-o', 'json'));
    expect(got.metadata.annotations).toMatchObject(asks('promote', 'dana'));
  });

  test('an autoscaler scales', async () => {
    await asUser('bob')('scale', 'modeldeployment/churn', '--replicas=4');
  });

  test('the operator writes status', async () => {
    const status = JSON.stringify({ status: { phase: 'Progressing' } });
    await asUser(OPERATOR)('patch', 'modeldeployment/churn', '--subresource=status', '--type=merge', '-p', status);
  });

  test('nobody acts by the way of status', async () => {
    const patch = JSON.stringify({
      metadata: { annotations: asks('abort', 'dana') },
      status: { phase: 'Progressing' },
    });
    await asUser(OPERATOR)('patch', 'modeldeployment/churn', '--subresource=status', '--type=merge', '-p', patch);
    const got = JSON.parse(await kubectl('get', 'modeldeployment', 'churn', '-o', 'json'));
    expect(got.metadata.annotations).toMatchObject(asks('promote', 'dana'));
  });
});

describe('a move of an alias', () => {
  const moves = (by: string | null) => ({ [ANNOTATIONS.aliasMove]: 'champion@7#2', [ANNOTATIONS.aliasMoveBy]: by });
  beforeEach(async () => {
    await kubectl('delete', 'model.fairlead.dev', 'churn', '--ignore-not-found');
    await send('dana', 'create', model({ champion: '6' }));
  });

  test('is in the name of whoever makes it, if it is in any', async () => {
    await annotate('bob', moves('bob'), 'models.fairlead.dev/churn');
    await expect(annotate('bob', moves('dana'), 'models.fairlead.dev/churn')).rejects.toThrow('must be "bob"');
    await expect(
      annotate('dana', { [ANNOTATIONS.aliasMove]: 'champion@8#3' }, 'models.fairlead.dev/churn'),
    ).rejects.toThrow('must be "dana"');
  });

  test('by kubectl edit or a deployer needs no name', async () => {
    await annotate('bob', moves('bob'), 'models.fairlead.dev/churn');
    const move = JSON.stringify({ spec: { aliases: { champion: '8' } } });
    await asUser('dana')('patch', 'models.fairlead.dev/churn', '--type=merge', '-p', move);
  });
});

test('a policy that cannot be evaluated lets nothing through', async () => {
  for (const policy of ['fairlead-action', 'fairlead-alias-move']) {
    expect(await kubectl('get', 'validatingadmissionpolicy', policy, '-o', 'jsonpath={.spec.failurePolicy}')).toBe(
      'Fail',
    );
  }
});

function pairs(annotations: Readonly<Record<string, string>>): string[] {
  return Object.entries(annotations).map(([name, value]) => `${name}=${value}`);
}
