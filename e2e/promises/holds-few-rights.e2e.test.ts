import { describe, expect, it } from 'vitest';
import { kubectl } from '../environment.ts';

const OPERATOR = 'system:serviceaccount:fairlead-system:fairlead';

async function may(verb: string, resource: string, namespace = 'default'): Promise<boolean> {
  const [kind = '', subresource] = resource.split('/');
  const flags = subresource === undefined ? [] : [`--subresource=${subresource}`];
  const answer = await kubectl()
    .run(['auth', 'can-i', verb, kind, ...flags, '-n', namespace, '--as', OPERATOR])
    .catch((error: Error) => error.message);
  return answer.trim() === 'yes';
}

describe('the operator holds few rights', () => {
  it.each([
    ['get', 'secrets'],
    ['list', 'secrets'],
    ['watch', 'secrets'],
    ['create', 'pods'],
    ['create', 'pods/exec'],
    ['create', 'roles.rbac.authorization.k8s.io'],
    ['create', 'clusterrolebindings.rbac.authorization.k8s.io'],
    ['bind', 'clusterroles.rbac.authorization.k8s.io'],
    ['escalate', 'clusterroles.rbac.authorization.k8s.io'],
    ['create', 'leases.coordination.k8s.io'],
    ['update', 'modeldeployments.fairlead.dev'],
    ['delete', 'namespaces'],
    ['impersonate', 'users'],
  ])('may not %s %s', async (verb, resource) => {
    expect(await may(verb, resource)).toBe(false);
  });

  it.each([
    ['patch', 'deployments.apps'],
    ['patch', 'modeldeployments.fairlead.dev/status'],
    ['list', 'modeldeployments.fairlead.dev'],
  ])('may %s %s', async (verb, resource) => {
    expect(await may(verb, resource)).toBe(true);
  });
});
