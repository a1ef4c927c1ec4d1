import { ANNOTATIONS } from '../api/names.ts';
import type { HandledAction } from '../api/v1alpha1/model-deployment-status.ts';
import { MODEL_DEPLOYMENTS, type ModelDeployment } from '../controllers/kinds.ts';
import type { ActionVerb } from '../rollout/action.ts';
import type { ApiClient } from '../runtime/api-client.ts';
import { ApiError } from '../runtime/api-error.ts';
import type { ObjectName } from '../runtime/types.ts';
import { CommandError } from './cluster.ts';
import { readModelDeployment } from './watched-rollout.ts';

export interface ActionRequest {
  readonly name: ObjectName;
  readonly verb: ActionVerb;
  /** The user in whose name it is asked. */
  readonly by: string;
}

/** Others may write the object in between this often. */
const ATTEMPTS = 8;

/**
 * Asks for an action on the rollout as it is now: writes the two annotations, if the rollout is still where it was read.
 * @returns what was asked, as the annotation says it
 * @throws CommandError when there is nothing to act on, or the rollout moved on; ApiError when it is refused.
 */
export async function requestAction(client: ApiClient, { name, verb, by }: ActionRequest): Promise<string> {
  let target: string | undefined;
  for (let attempt = 1; ; attempt++) {
    const object = await readModelDeployment(client, name);
    const now = actionTarget(object);
    if (target !== undefined && now !== target) {
      throw new CommandError(
        `the rollout moved on meanwhile, from ${target} to ${now}: look at it again; nothing was asked`,
      );
    }
    target = now;
    const { resourceVersion, annotations = {} } = object.metadata;
    const action = newText(`${verb}${target}`, object.status?.lastHandledAction?.action);
    if (annotations[ANNOTATIONS.action] === action && annotations[ANNOTATIONS.actionBy] === by) return action;
    const wanted = { [ANNOTATIONS.action]: action, [ANNOTATIONS.actionBy]: by };
    try {
      await client.mergePatch(MODEL_DEPLOYMENTS, name, { metadata: { resourceVersion, annotations: wanted } });
      return action;
    } catch (error) {
      if (!(error instanceof ApiError) || !error.isConflict || attempt === ATTEMPTS) throw error;
    }
  }
}

/** The same text is handled once: what was handled already is asked for again with a count behind it. */
export function newText(text: string, handled: string | undefined): string {
  if (handled === text) return `${text}.2`;
  const [, count] = handled?.startsWith(`${text}.`) === true ? (/[.]([0-9]+)$/.exec(handled) ?? []) : [];
  return count === undefined ? text : `${text}.${Number(count) + 1}`;
}

/** What an action has to name behind its verb. */
function actionTarget({ metadata, status }: ModelDeployment): string {
  const target = status?.rollout?.action;
  if (target !== undefined) return target;
  throw new CommandError(
    status === undefined
      ? `nothing is known of ${metadata.name} yet: is the operator running?`
      : `${metadata.name} has no rollout that can be acted on: its strategy is to be Canary, BlueGreen or Shadow`,
  );
}

/** What came of an action, once the operator has handled it. */
export function outcomeOf({ status }: ModelDeployment, action: string): HandledAction | undefined {
  const handled = status?.lastHandledAction;
  return handled?.action === action ? handled : undefined;
}
