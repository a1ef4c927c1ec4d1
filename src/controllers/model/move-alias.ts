import { ANNOTATIONS } from '../../api/names.ts';
import { own } from '../../api/own.ts';
import type { ApiClient, JsonPatch } from '../../runtime/api-client.ts';
import { ApiError } from '../../runtime/api-error.ts';
import type { ObjectName } from '../../runtime/types.ts';
import { MODELS, type Model } from '../kinds.ts';
import { aliasWriter, declaresAgain } from './alias-writer.ts';
import { formatMove } from './history.ts';

export interface AliasMoveRequest {
  readonly model: ObjectName;
  readonly alias: string;
  /** The version that the alias is to stand for. */
  readonly to: string;
  /** What it must stand for now; `null`: nothing, a new alias. Undefined: whatever it is when it is first read. */
  readonly from?: string | null;
  /** The user in whose name the client speaks: the API server refuses another. */
  readonly by: string;
  /** Moves it also where a program would soon put it back. */
  readonly force?: boolean;
}

export interface AliasMoved {
  readonly from: string | undefined;
  readonly to: string;
  /** False where it stood there already: nothing was written. */
  readonly moved: boolean;
}

/** The alias does not stand for what the move starts from: somebody else was faster, or the caller was told wrong. */
export class AliasMoveLostError extends Error {
  override readonly name = 'AliasMoveLostError';
}

/** Another program declares the alias, and would undo the move. */
export class AliasDeclaredElsewhereError extends Error {
  override readonly name = 'AliasDeclaredElsewhereError';
}

/** Other writes to the Model (its status, mostly) may come in between this often before the move gives up. */
const ATTEMPTS = 8;

/**
 * Moves an alias in one write that only succeeds while the alias stands for `from` and the Model is as it was read.
 * @throws AliasMoveLostError, AliasDeclaredElsewhereError, ApiError, ConnectionError
 */
export async function moveAlias(
  client: Pick<ApiClient, 'get' | 'jsonPatch'>,
  request: AliasMoveRequest,
): Promise<AliasMoved> {
  const { alias, to } = request;
  let expected = request.from;
  for (let attempt = 1; ; attempt++) {
    const model = await client.get(MODELS, request.model);
    const now = own(model.spec.aliases, alias) ?? null;
    if (expected !== undefined && now !== expected) throw new AliasMoveLostError(lost(model, request, expected));
    expected ??= now;
    if (now === to) return { from: to, to, moved: false };
    if (request.force !== true) assertIsOurs(model, request);
    try {
      await client.jsonPatch(MODELS, request.model, patchOf(model, request));
      return { from: now ?? undefined, to, moved: true };
    } catch (error) {
      const changedMeanwhile = error instanceof ApiError && (error.isConflict || isFailedTest(error));
      if (!changedMeanwhile || attempt === ATTEMPTS) throw error;
    }
  }
}

function patchOf({ metadata, spec }: Model, { alias, to, by }: AliasMoveRequest): JsonPatch {
  const { resourceVersion, annotations, generation = 0 } = metadata;
  const path = `/spec/aliases/${alias.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const now = own(spec.aliases, alias);
  const move = {
    [ANNOTATIONS.aliasMove]: formatMove({ alias, to, generation: generation + 1 }),
    [ANNOTATIONS.aliasMoveBy]: by,
  };
  return [
    { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
    ...(now === undefined ? [] : [{ op: 'test' as const, path, value: now }]),
    { op: 'add', path, value: to },
    { op: 'add', path: '/metadata/annotations', value: { ...annotations, ...move } },
  ];
}

/** The API server answers a `test` that does not hold as Invalid, and names no field, as every validation does. */
function isFailedTest(error: ApiError): boolean {
  return error.isInvalid && error.causes.length === 0;
}

function lost({ metadata, spec, status }: Model, { alias, to }: AliasMoveRequest, expected: string | null): string {
  const now = own(spec.aliases, alias);
  const last = status?.history?.find((move) => move.alias === alias && move.to === now);
  const who = last?.by ?? last?.manager;
  const by = last === undefined ? '' : ` (${who === undefined ? '' : `moved by ${who}, `}${last.time})`;
  const stands = now === undefined ? `Model ${metadata.name} has no alias ${alias}` : `${alias} stands for ${now}${by}`;
  return `${metadata.name}: ${stands}, not for ${expected ?? 'nothing'}: it was not moved to ${to}`;
}

function assertIsOurs(model: Model, { alias, to }: AliasMoveRequest): void {
  const writer = aliasWriter(model, alias);
  if (writer === undefined || !declaresAgain(writer)) return;
  throw new AliasDeclaredElsewhereError(
    `spec.aliases.${alias} of Model ${model.metadata.name} is declared by ${writer.manager}, which would undo the move: ` +
      `a promotion to ${to} is a commit there`,
  );
}
