import { expect, test } from 'vitest';
import { ACTION_VERBS, parseAction } from '../rollout/action.ts';
import { newText } from './request-action.ts';

test.each([
  ['nothing was handled', undefined, 'resume@churn-1#3'],
  ['another action was handled last', 'pause@churn-1#3', 'resume@churn-1#3'],
  ['the same was handled at an earlier step', 'resume@churn-1#2', 'resume@churn-1#3'],
  ['the same was handled at a step that begins alike', 'resume@churn-1#31', 'resume@churn-1#3'],
  ['the same was handled', 'resume@churn-1#3', 'resume@churn-1#3.2'],
  ['the same was handled twice', 'resume@churn-1#3.2', 'resume@churn-1#3.3'],
])('where %s, resume is asked for in a text that is handled', (_title, handled, text) => {
  expect(newText('resume@churn-1#3', handled)).toBe(text);
});

test.each(ACTION_VERBS)('%s asked for again means the same', (verb) => {
  expect(parseAction(newText(`${verb}@churn-1#3`, `${verb}@churn-1#3`))).toEqual(parseAction(`${verb}@churn-1#3`));
});
