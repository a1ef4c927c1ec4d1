import { expect, test } from 'vitest';
import type { ModelDeployment } from '../../kinds.ts';
import { OWNER, revisionOf, specOf } from '../../testing/spec.ts';
import { needsAccount } from './account.ts';

const scope = (pod: object, serviceAccount = 'own') => ({
  object: {
    metadata: { name: 'churn' },
    spec: specOf({ model: { uri: 's3://models/churn/' }, pod }),
  } as ModelDeployment,
  owner: OWNER,
  revisions: [revisionOf('churn-b', { serviceAccount: 'own' }), revisionOf('churn-a', { replicas: 0, serviceAccount })],
});

test.each([
  ['is needed where the user names none', scope({}), true],
  ['is not where the user names one', scope({ serviceAccountName: 'own' }), false],
  [
    'is needed for as long as a revision may be gone back to whose pods run under it',
    scope({ serviceAccountName: 'own' }, OWNER.name),
    true,
  ],
])('the ServiceAccount of Fairlead’s own %s', (_, given, expected) => {
  expect(needsAccount(given)).toBe(expected);
});
