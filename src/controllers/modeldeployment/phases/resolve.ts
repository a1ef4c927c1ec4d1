import { REGISTRY_NAME } from '../../../api/names.ts';
import type { RegistryAnswer, RegistryFailure } from '../../../api/registry-answers.ts';
import { withoutSecrets } from '../../../api/without-secrets.ts';
import { identityOf } from '../../../runtime/prune.ts';
import { objectKey } from '../../../runtime/types.ts';
import { BY_MODEL, MODEL_VERSIONS, MODELS } from '../../kinds.ts';
import { type PublishedAnswer, publishedAnswer } from '../../registry-asker/answer.ts';
import { ASKER_LABEL, askerId, asksOutside } from '../../registry-asker/asker.ts';
import { CONFIG_MAPS, EVENTS, JOBS, type Job, PODS, type Pod } from '../../resources.ts';
import { uriRefusal } from '../acceptance.ts';
import { type Diagnosis, diagnoseMissingPod, diagnosePod } from '../diagnose.ts';
import { type Registry, resolveSource } from '../model-source.ts';
import { answerOf, desiredResolveJob, type Failure, POD_GRACE_MS, type Question, questionId } from '../resolve-job.ts';
import { lookAgain, type ModelState, type Scope } from '../scope.ts';
import type { Phase, PhaseContext } from './phase.ts';

const PODLESS_RETRY_MS = 30_000;
const UNANSWERED_RETRY_MS = 15_000;
const NOTHING_PUBLISHED: PublishedAnswer = { answer: undefined, failure: undefined };

/** Finds out which bytes the spec means: from the spec, the registry, an earlier revision, or a Job that looks. */
export const resolve: Phase = async (scope, context) => {
  const { object } = scope;
  const { answer, failure } = asksOutside(object) ? publishedIn(scope, context) : NOTHING_PUBLISHED;
  const registry = registryOf(scope, context, answer);
  const resolution = resolveSource(object.spec.model, registry, scope.revisions, object.status?.model);
  switch (resolution.kind) {
    case 'resolved':
      scope.model = { ...resolution, ...(failure && { unfollowed: failure.message }) };
      break;
    case 'unanswered':
      scope.model =
        resolution.pinned === undefined
          ? await unanswered(scope, context, resolution.uri, failure)
          : { kind: 'resolved', model: resolution.pinned, ...(failure && { unfollowed: failure.message }) };
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
  scope.neededJobs = answer.jobNames;
  switch (answer.kind) {
    case 'resolved':
      return { kind: 'resolved', model: { uri, sha256: answer.sha256, ...(version && { version }) } };
    case 'running':
      if (answer.podlessSinceMs !== undefined) {
        const why = await whyPodless(scope, context, answer.job, answer.podlessSinceMs);
        if (why !== undefined) return { kind: 'resolving', uri, why };
      }
      if (answer.before !== undefined) return failed(answer.before, true);
      return { kind: 'resolving', uri, why: answer.why ?? (await whyNotMounted(scope, context, answer.pods)) };
    case 'ask': {
      // What is looked for is known even where the Job is refused.
      scope.model = answer.before === undefined ? { kind: 'resolving', uri } : failed(answer.before, true);
      const job = await context.apply(JOBS, desiredResolveJob(question, answer.attempt));
      scope.neededJobs = [...answer.jobNames, job.metadata.name];
      return scope.model;
    }
    case 'failed':
      if (answer.retryAtMs !== undefined) lookAgain(scope, answer.retryAtMs);
      return failed(answer, answer.retryAtMs !== undefined);
  }
}

/** A Job tells nowhere but in Events why its pod cannot be made. @returns undefined while it may still come */
async function whyPodless(
  scope: Scope,
  { client, signal }: PhaseContext,
  { metadata }: Job,
  sinceMs: number,
): Promise<Diagnosis | undefined> {
  if (scope.nowMs < sinceMs + POD_GRACE_MS) {
    lookAgain(scope, sinceMs + POD_GRACE_MS);
    return undefined;
  }
  lookAgain(scope, scope.nowMs + PODLESS_RETRY_MS);
  const fields = { 'involvedObject.uid': metadata.uid ?? '', reason: 'FailedCreate' };
  const { items } = await client.list(EVENTS, { namespace: metadata.namespace, fields, signal });
  return diagnoseMissingPod(items);
}

async function whyNotMounted(
  scope: Scope,
  context: PhaseContext,
  pods: readonly Pod[],
): Promise<Diagnosis | undefined> {
  const { failures, lookAgainAtMs } = await context.podEvents.mountFailures(pods, context, scope.nowMs);
  if (lookAgainAtMs !== undefined) lookAgain(scope, lookAgainAtMs);
  return [...failures.values()][0];
}

/** The same while the next attempt waits and while it runs: what is known only changes when that ends. */
function failed({ reason, message, attempt }: Failure, isTriedAgain: boolean): ModelState {
  const next = isTriedAgain
    ? `attempt ${attempt} to find the digest; it is tried again`
    : 'only a change of the spec can help';
  return { kind: 'failed', reason, message: `${message} (${next})` };
}

/** Jobs of a question that is no longer asked, and attempts before the last one. */
async function forgetOtherJobs(scope: Scope, context: PhaseContext): Promise<void> {
  const { namespace } = scope.owner;
  const keep = scope.neededJobs.map((name) => identityOf(JOBS, { metadata: { namespace, name } }));
  await context.prune(scope.object, [JOBS], new Set(keep));
}

function publishedIn({ object, owner: { namespace } }: Scope, { cache }: PhaseContext): PublishedAnswer {
  return publishedAnswer(object, cache.get(CONFIG_MAPS, objectKey({ namespace, name: REGISTRY_NAME })));
}

/** Why there is no answer yet: what the one who asks says, or why it does not run. */
async function unanswered(
  scope: Scope,
  context: PhaseContext,
  uri: string,
  failure: RegistryFailure | undefined,
): Promise<ModelState> {
  if (failure !== undefined) return { kind: 'failed', ...failure };
  lookAgain(scope, scope.nowMs + UNANSWERED_RETRY_MS);
  const id = askerId(scope.object);
  const pods = context.cache
    .list(PODS, scope.owner.namespace)
    .filter(({ metadata }) => metadata.labels?.[ASKER_LABEL] === id);
  const why =
    pods.map(diagnosePod).find((found) => found !== undefined && found.kind !== 'waiting') ??
    (await whyNotMounted(scope, context, pods));
  const message = `${withoutSecrets(scope.object.spec.model.endpoint ?? '')} is asked what ${uri} stands for`;
  return { kind: 'resolving', uri, why: why ?? { kind: 'waiting', reason: 'AskingRegistry', message } };
}

function registryOf({ owner }: Scope, { cache }: PhaseContext, answer: RegistryAnswer | undefined): Registry {
  return {
    answer: () => answer,
    model: (name) => cache.get(MODELS, objectKey({ namespace: owner.namespace, name })),
    versions: (model) =>
      cache.byIndex(MODEL_VERSIONS, BY_MODEL, objectKey({ namespace: owner.namespace, name: model })),
  };
}
