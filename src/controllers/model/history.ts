/** Who moved which alias, when, from where to where: found by comparing the aliases with those that are recorded. Pure. */
import { ANNOTATIONS } from '../../api/names.ts';
import { own } from '../../api/own.ts';
import { type AliasMove, MAX_ALIAS_MOVES, type ModelStatus } from '../../api/v1alpha1/model.ts';
import { rfc3339Seconds } from '../../runtime/conditions.ts';
import type { Model } from '../kinds.ts';
import { aliasWriter } from './alias-writer.ts';

/** What the API takes of the name of a user; an annotation holds whatever a client wrote. */
const MAX_USER_CHARS = 1024;

type Aliases = Readonly<Record<string, string>>;
export type Recorded = Pick<ModelStatus, 'aliases' | 'history'>;

/** Whether `status` knows the aliases as they are. */
export function isRecorded({ spec, status }: Model): boolean {
  return status?.aliases !== undefined && movedAliases(status.aliases, spec.aliases).length === 0;
}

/**
 * The history with the moves since the last look in front.
 * @param model with its `managedFields`
 */
export function recordMoves(model: Model, nowMs: number): Recorded {
  const { spec, status } = model;
  const before = status?.aliases ?? {};
  const moves = movedAliases(before, spec.aliases).map((alias): AliasMove => {
    const from = own(before, alias);
    const to = own(spec.aliases, alias);
    // Nobody owns a field that is gone.
    const writer = to === undefined ? undefined : aliasWriter(model, alias);
    const by = moverOf(model, alias, to);
    return {
      alias,
      ...(from !== undefined && { from }),
      ...(to !== undefined && { to }),
      ...(by !== undefined && { by }),
      ...(writer !== undefined && { manager: writer.manager }),
      time: writer?.time ?? rfc3339Seconds(nowMs),
    };
  });
  const history = [...moves, ...(status?.history ?? [])].slice(0, MAX_ALIAS_MOVES);
  return { aliases: { ...spec.aliases }, history };
}

/** In alphabetical order. */
function movedAliases(before: Aliases, after: Aliases): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((alias) => own(before, alias) !== own(after, alias)).sort();
}

/** A move as its annotation tells it: made by the write that gave the Model this generation. */
export interface AnnotatedMove {
  readonly alias: string;
  /** Undefined where the alias was removed. */
  readonly to: string | undefined;
  readonly generation: number;
}

export function formatMove({ alias, to, generation }: AnnotatedMove): string {
  return `${alias}@${to ?? ''}#${generation}`;
}

function parseMove(text: string | undefined): AnnotatedMove | undefined {
  const [, alias, to, generation] = /^([^@#]+)@([^@#]*)#(\d+)$/.exec(text ?? '') ?? [];
  if (alias === undefined) return undefined;
  return { alias, to: to === '' ? undefined : to, generation: Number(generation) };
}

/** The user who says that they made this very move; a name that is left from an earlier move is nobody's. */
function moverOf({ metadata, status }: Model, alias: string, to: string | undefined): string | undefined {
  const move = parseMove(metadata.annotations?.[ANNOTATIONS.aliasMove]);
  if (move?.alias !== alias || move.to !== to) return undefined;
  const seen = status?.observedGeneration ?? 0;
  const isSince = move.generation > seen && move.generation <= (metadata.generation ?? 0);
  return isSince ? metadata.annotations?.[ANNOTATIONS.aliasMoveBy]?.slice(0, MAX_USER_CHARS) : undefined;
}
