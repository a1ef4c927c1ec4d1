import Value from 'typebox/value';
import { describe, expect, test } from 'vitest';
import { ANNOTATIONS } from '../../api/names.ts';
import { AliasMove, type ModelStatus } from '../../api/v1alpha1/model.ts';
import type { ManagedFieldsEntry } from '../../runtime/types.ts';
import type { Model } from '../kinds.ts';
import { declaresAgain } from './alias-writer.ts';
import { formatMove, isRecorded, recordMoves } from './history.ts';

const NOW_MS = Date.parse('2026-05-01T12:00:00Z');
const writes = (manager: string, alias: string, time: string, operation = 'Update'): ManagedFieldsEntry => ({
  manager,
  operation,
  time,
  fieldsV1: { 'f:spec': { 'f:aliases': { [`f:${alias}`]: {} } } },
});

interface Given {
  readonly aliases: Record<string, string>;
  readonly status?: ModelStatus;
  readonly annotations?: Record<string, string>;
  readonly managedFields?: readonly ManagedFieldsEntry[];
}

const model = ({ aliases, status, annotations, managedFields }: Given): Model => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'Model',
  metadata: {
    name: 'churn',
    namespace: 'shop',
    generation: 5,
    ...(annotations && { annotations }),
    ...(managedFields && { managedFields }),
  },
  spec: { aliases },
  ...(status && { status }),
});
const recorded = (champion: string, history: AliasMove[] = []): ModelStatus => ({
  aliases: { champion },
  history,
  observedGeneration: 4,
});
const says = (alias: string, to: string | undefined, generation: number, by = 'dana') => ({
  [ANNOTATIONS.aliasMove]: formatMove({ alias, to, generation }),
  [ANNOTATIONS.aliasMoveBy]: by,
});
const lastMove = (given: Given) => recordMoves(model(given), NOW_MS).history?.[0];

describe('a moved alias', () => {
  test('is recorded with whence, whither, the program that wrote it and when', () => {
    const managedFields = [
      writes('helm', 'champion', '2026-04-01T00:00:00Z'),
      writes('kubectl-edit', 'champion', '2026-05-01T11:59:58Z'),
      writes('fairlead', 'challenger', '2026-05-01T12:00:00Z'),
    ];
    expect(lastMove({ aliases: { champion: '7' }, status: recorded('6'), managedFields })).toEqual({
      alias: 'champion',
      from: '6',
      to: '7',
      manager: 'kubectl-edit',
      time: '2026-05-01T11:59:58Z',
    });
  });

  test('that is new came from nowhere, and one that is gone went nowhere, at the time it is seen', () => {
    const moves = recordMoves(model({ aliases: { blue: '1' }, status: recorded('6') }), NOW_MS);
    expect(moves.history).toEqual([
      { alias: 'blue', to: '1', time: '2026-05-01T12:00:00Z' },
      { alias: 'champion', from: '6', time: '2026-05-01T12:00:00Z' },
    ]);
    expect(moves.aliases).toEqual({ blue: '1' });
  });

  test('may be named as what every object has', () => {
    const moves = recordMoves(model({ aliases: { champion: '6', constructor: '1' }, status: recorded('6') }), NOW_MS);
    expect(moves.history).toEqual([{ alias: 'constructor', to: '1', time: '2026-05-01T12:00:00Z' }]);
  });

  test('stands in front of those before it, of which the last fifty are kept', () => {
    const old = Array.from(
      { length: 50 },
      (_, index): AliasMove => ({
        alias: 'champion',
        to: String(index),
        time: '2026-01-01T00:00:00Z',
      }),
    );
    const { history } = recordMoves(model({ aliases: { champion: 'new' }, status: recorded('6', old) }), NOW_MS);
    expect(history).toHaveLength(50);
    expect(history?.slice(0, 2).map(({ to }) => to)).toEqual(['new', '0']);
  });

  test('is recorded once', () => {
    const given = { aliases: { champion: '7' }, status: recorded('6') };
    expect(isRecorded(model(given))).toBe(false);
    const status = { ...recordMoves(model(given), NOW_MS), observedGeneration: 5 };
    expect(isRecorded(model({ ...given, status }))).toBe(true);
  });

  test('of a Model that nothing was ever recorded of is its first', () => {
    expect(isRecorded(model({ aliases: {} }))).toBe(false);
    expect(recordMoves(model({ aliases: {} }), NOW_MS)).toEqual({ aliases: {}, history: [] });
  });
});

describe('the user who made a move is named', () => {
  const to7 = { aliases: { champion: '7' }, status: recorded('6') };

  test('where the Model says so of this very move', () => {
    expect(lastMove({ ...to7, annotations: says('champion', '7', 5) })).toMatchObject({ by: 'dana' });
  });

  test('also where the alias was removed', () => {
    const gone = { aliases: {}, status: recorded('6'), annotations: says('champion', undefined, 5) };
    expect(lastMove(gone)).toMatchObject({ from: '6', by: 'dana' });
  });

  test('by no more of what a client wrote than the API takes', () => {
    const annotations = says('champion', '7', 5, 'd'.repeat(100_000));
    expect(Value.Errors(AliasMove, lastMove({ ...to7, annotations }))).toEqual([]);
  });

  test.each([
    ['another alias', says('challenger', '7', 5)],
    ['another version', says('champion', '8', 5)],
    ['an earlier move to the same version', says('champion', '7', 4)],
    ['a move that has not happened', says('champion', '7', 6)],
    ['no move at all', { [ANNOTATIONS.aliasMove]: 'champion', [ANNOTATIONS.aliasMoveBy]: 'dana' }],
  ])('not where it speaks of %s', (_title, annotations) => {
    expect(lastMove({ ...to7, annotations })).not.toHaveProperty('by');
  });
});

describe('a program declares an alias again and again', () => {
  test.each([
    ['argocd-controller', 'Update', true],
    ['argocd-controller', 'Apply', true],
    ['kustomize-controller', 'Apply', true],
    ['someones-operator', 'Apply', true],
    ['kubectl', 'Apply', false],
    ['kubectl-edit', 'Update', false],
    ['kubectl-client-side-apply', 'Update', false],
    ['fairlead-cli', 'Update', false],
  ])('%s by %s: %s', (manager, operation, expected) => {
    expect(declaresAgain({ manager, operation, time: undefined })).toBe(expected);
  });
});
