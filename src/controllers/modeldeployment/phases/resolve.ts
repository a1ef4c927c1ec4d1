import { identityOf } from '../../../runtime/prune.ts';
import { objectKey } from '../../../runtime/types.ts';
import { BY_MODEL, MODEL_VERSIONS, MODELS } from '../../kinds.ts';
import { JOBS } from '../../resources.ts';
import { uriRefusal } from '../acceptance.ts';
import { type Registry, resolveSource } from '../model-source.ts';
import { answerOf, desiredResolveJob, type Question, questionId } from '../resolve-job.ts';
import { lookAgain, type ModelState, type Scope } from '../scope.ts';
import type { Phase, PhaseContext } from './phase.ts';

/** Finds out which bytes the spec means: from the spec, the registry, an earlier revision, or a Job that looks. */
export const resolve: Phase = async (scope, context) => {
  const { object } = scope;
  const resolution = resolveSource(object.spec.model, registryOf(scope, context), scope.revisions);
  switch (resolution.kind) {
    case 'resolved':
      scope.model = resolution;
      break;
    case 'missing':
      scope.model =
        resolution.pinned === undefined
          ? { kind: 'failed', reason: 'ModelNotFound', message: resolution.message }
          : { kind: 'resolved', model: resolution.pinned, gone: resolution.message };
      break;
    case 'digest-unknown':
      scope.refusal = uriRefusal(resolution.uri);
      if (scope.refusal !== undefined) return 'stop';
      scope.model = await ask(scope, context, resolution);
      break;
  }
  if (scope.model.kind === 'resolved') {
    scope.refusal = uriRefusal(scope.model.model.uri);
    if (scope.refusal !== undefined) return 'stop';
  } else {
    await forgetOtherJobs(scope, context);
  }
  return 'continue';
};

async function ask(
  scope: Scope,
  context: PhaseContext,
  { uri, version }: { readonly uri: string; readonly version?: string },
): Promise<ModelState> {
  const { object, owner } = scope;
  const question: Question = { owner, spec: object.spec, uri, image: context.images.cpu };
  const id = questionId(question);
  const answer = answerOf(scope.attempts.get(id) ?? [], scope.nowMs);
  scope.neededJob = answer.jobName;
  switch (answer.kind) {
    case 'resolved':
      return { kind: 'resolved', model: { uri, sha256: answer.sha256, ...(version && { version }) } };
    case 'running':
      return { kind: 'resolving', uri, attempt: answer.attempt, why: answer.why };
    case 'ask': {
      const job = await context.apply(JOBS, desiredResolveJob(question, answer.attempt));
      scope.neededJob = job.metadata.name;
      return { kind: 'resolving', uri, attempt: answer.attempt };
    }
    case 'failed': {
      if (answer.retryAtMs !== undefined) lookAgain(scope, answer.retryAtMs);
      const next =
        answer.retryAtMs === undefined ? 'change the spec' : `attempt ${answer.attempt}, tried again by itself`;
      return { kind: 'failed', reason: answer.reason, message: `${answer.message} (${next})` };
    }
  }
}

/** Jobs of a question that is no longer asked, and attempts before the last one. */
async function forgetOtherJobs(scope: Scope, context: PhaseContext): Promise<void> {
  const { namespace } = scope.owner;
  const keep =
    scope.neededJob === undefined ? [] : [identityOf(JOBS, { metadata: { namespace, name: scope.neededJob } })];
  await context.prune(scope.object, [JOBS], new Set(keep));
}

function registryOf({ owner }: Scope, { cache }: PhaseContext): Registry {
  return {
    model: (name) => cache.get(MODELS, objectKey({ namespace: owner.namespace, name })),
    versions: (model) =>
      cache.byIndex(MODEL_VERSIONS, BY_MODEL, objectKey({ namespace: owner.namespace, name: model })),
  };
}
