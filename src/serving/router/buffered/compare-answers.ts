import { InferenceError } from '../../inference-error.ts';
import { isObject } from '../../protocol/infer-request.ts';
import { parseJson } from '../../protocol/json-parse.ts';
import type { Answer } from './answer.ts';
import { type Output, readOutputs } from './outputs.ts';

const MAX_DEPTH = 64;
/** What tells one revision from another, and one request from another, and nothing of what was predicted. */
const IDENTITY: ReadonlySet<string> = new Set(['model_name', 'model_version', 'id']);

/**
 * Whether two answers to the same request say the same: the same status, and outputs, or JSON, whose numbers differ by at
 * most `tolerance`, absolute or relative to the larger one; other bodies to the byte. Undefined where one of them is no
 * answer to compare: an error of the server (5xx), or unreadable.
 */
export function answersAgree(one: Answer, other: Answer, tolerance: number): boolean | undefined {
  if (one.status >= 500 || other.status >= 500) return undefined;
  if (one.status !== other.status) return false;
  // How a refusal is worded says nothing of the model.
  if (one.status >= 400) return true;
  try {
    if (one.jsonBytes !== undefined || other.jsonBytes !== undefined || (isJson(one) && isJson(other))) {
      return bodiesAgree(one, other, tolerance);
    }
  } catch (error) {
    if (error instanceof InferenceError) return undefined;
    throw error;
  }
  return one.body.equals(other.body);
}

function bodiesAgree(one: Answer, other: Answer, tolerance: number): boolean {
  const [mine, theirs] = [readOutputs(one), readOutputs(other)];
  if (mine === undefined || theirs === undefined) {
    if (mine !== theirs || one.jsonBytes !== undefined || other.jsonBytes !== undefined) return false;
    return valuesAgree(
      withoutIdentity(parseJson(one.body, true)),
      withoutIdentity(parseJson(other.body, true)),
      tolerance,
    );
  }
  return outputsAgree(mine, theirs, tolerance);
}

/** Whether there are the same outputs by name, their numbers the same but for `tolerance`. */
export function outputsAgree(mine: readonly Output[], theirs: readonly Output[], tolerance: number): boolean {
  const byName = new Map(theirs.map((output) => [output.name, output]));
  return (
    mine.length === theirs.length &&
    mine.every(({ name, shape, values }) => {
      const same = byName.get(name);
      return same !== undefined && valuesAgree(shape, same.shape, 0) && valuesAgree(values, same.values, tolerance);
    })
  );
}

/** Whether two JSON values are the same but for `tolerance` between numbers. */
export function valuesAgree(one: unknown, other: unknown, tolerance: number, depth = 0): boolean {
  if (one === other || depth > MAX_DEPTH) return one === other;
  if (isNumeric(one) && isNumeric(other)) {
    const [a, b] = [Number(one), Number(other)];
    return Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a), Math.abs(b)) || Object.is(a, b);
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    return (
      one.length === other.length && one.every((value, index) => valuesAgree(value, other[index], tolerance, depth + 1))
    );
  }
  if (!isObject(one) || !isObject(other)) return false;
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && valuesAgree(one[key], other[key], tolerance, depth + 1))
  );
}

function isNumeric(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

function withoutIdentity(json: unknown): unknown {
  if (!isObject(json)) return json;
  return Object.fromEntries(Object.entries(json).filter(([key]) => !IDENTITY.has(key)));
}

function isJson({ contentType }: Answer): boolean {
  return /^application\/(?:[a-z0-9.+-]*\+)?json\b/i.test(contentType);
}
