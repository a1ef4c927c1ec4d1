/** What an outside registry answered for a ModelDeployment, as its asker published it. Pure. */
import Value from 'typebox/value';
import { RegistryAnswer, RegistryFailure } from '../../api/registry-answers.ts';
import type { ModelDeployment } from '../kinds.ts';
import type { ConfigMap } from '../resources.ts';
import { answerKey, askerId, failureKey } from './asker.ts';

export interface PublishedAnswer {
  /** Undefined while nothing was answered. */
  readonly answer: RegistryAnswer | undefined;
  /** Why nothing can be asked now; the answer is then the last one that there was. */
  readonly failure: RegistryFailure | undefined;
}

/** What a tenant could write into their ConfigMap by hand, and is no answer, counts as none. */
export function publishedAnswer(object: ModelDeployment, answers: ConfigMap | undefined): PublishedAnswer {
  const id = askerId(object);
  const answer = parse(answers?.data?.[answerKey(id, object.spec.model.uri ?? '')]);
  const failure = parse(answers?.data?.[failureKey(id)]);
  return {
    answer: Value.Check(RegistryAnswer, answer) ? answer : undefined,
    failure: Value.Check(RegistryFailure, failure) ? failure : undefined,
  };
}

function parse(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
