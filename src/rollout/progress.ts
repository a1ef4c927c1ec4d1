/**
 * All that a rollout remembers, as JSON in one annotation of the Deployment of the revision that takes over. Written
 * before, or with, what it allows: after a crash at any point the next decision goes on from it.
 */
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { PAUSE_REASONS } from '../api/v1alpha1/model-deployment-status.ts';

const revision = Type.String({ minLength: 1, maxLength: 253 });
const ms = Type.Integer({ minimum: 0 });
const word = Type.String({ minLength: 1, maxLength: 128 });
const sentence = Type.String({ maxLength: 1024 });
const strict = { additionalProperties: false };

export const Progress = Type.Object(
  {
    /** Grows with every rollout of the ModelDeployment; of several Deployments' progress the highest is in force. */
    sequence: Type.Integer({ minimum: 1 }),
    /** The revision that the spec wanted when it began. */
    target: revision,
    /** The revision that had the traffic before; absent where there was none. */
    from: Type.Optional(revision),
    /**
     * Stepping: towards the target, a step at a time. Keeping: the target is given all of the traffic, `from` keeps its
     * pods for a while. Done. Returning: back to `from`. Returned: it has all of the traffic, and the target is not tried again.
     */
    stage: Type.Enum(['Stepping', 'Keeping', 'Done', 'Returning', 'Returned']),
    startedAtMs: ms,
    /**
     * When the newest of the target's pods was made that were there already, by the API server's clock, which may be
     * another than the operator's. What befalls them says nothing of this trial.
     */
    earlierPodsMs: Type.Optional(ms),
    /** Index of the step under way. */
    step: Type.Integer({ minimum: 0, maximum: 32 }),
    /** The steps that `step` counts in: with others, its place is looked for anew. */
    steps: Type.String({ maxLength: 512 }),
    /** Of `spec.rollout` as it was last, or when the target was taken back: with another one it is tried again. */
    rolloutHash: Type.Optional(word),
    /** When every router applied the step; its hold and its analysis count from here. */
    heldSinceMs: Type.Optional(ms),
    /** Since when nothing reaches the target in a step that is held. */
    idleSinceMs: Type.Optional(ms),
    /** How long that was before, all in all: neither the hold nor the analysis' deadline goes on meanwhile. */
    idleMs: Type.Optional(ms),
    /** From when on the analysis' deadline counts, where a person resumed after it. */
    deadlineSinceMs: Type.Optional(ms),
    /** Since when pods that have room are not ready. */
    unreadySinceMs: Type.Optional(ms),
    /** When every router had applied that the target has all of the traffic; the rollout is complete, and what is kept counts, from here. */
    keptSinceMs: Type.Optional(ms),
    /** A person said that `from` is kept no longer than until then. */
    isReleased: Type.Optional(Type.Boolean()),
    /** Replicas that were there when it began, where an autoscaler chooses them. */
    frozen: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000 })),
    /** Old pods have given way for want of room: a cluster autoscaler is not waited for again. */
    isSwapping: Type.Optional(Type.Boolean()),
    pause: Type.Optional(Type.Object({ reason: Type.Enum([...PAUSE_REASONS]), message: sentence, atMs: ms }, strict)),
    /** Why it was taken back. */
    failure: Type.Optional(
      Type.Object({ reason: word, message: sentence, atMs: ms, isHardLimit: Type.Optional(Type.Boolean()) }, strict),
    ),
    lastAction: Type.Optional(
      Type.Object(
        {
          action: Type.String({ maxLength: 512 }),
          by: Type.Optional(Type.String({ maxLength: 512 })),
          atMs: ms,
          result: Type.Enum(['Done', 'Refused']),
          message: sentence,
        },
        strict,
      ),
    ),
  },
  strict,
);
export type Progress = Static<typeof Progress>;

const check = Compile(Progress);

/** Longest annotation that is read: what the schema lets through is shorter. */
const MAX_LENGTH = 8_192;

/** @returns undefined for what is absent, too long, or not what `progressText` writes: a rollout then begins anew, which is safe */
export function parseProgress(text: string | undefined): Progress | undefined {
  if (text === undefined || text.length > MAX_LENGTH) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return check.Check(value) ? value : undefined;
}

/** @param texts the annotation of every revision's Deployment */
export function latestProgress(texts: readonly (string | undefined)[]): Progress | undefined {
  return texts
    .map(parseProgress)
    .filter((progress) => progress !== undefined)
    .reduce<Progress | undefined>(
      (latest, each) => (latest === undefined || each.sequence > latest.sequence ? each : latest),
      undefined,
    );
}

/** The same text for the same progress, so that what did not change is not written. */
export function progressText(progress: Progress): string {
  const known = Object.keys(Progress.properties) as (keyof Progress)[];
  return JSON.stringify(Object.fromEntries(known.map((key) => [key, progress[key]])));
}
