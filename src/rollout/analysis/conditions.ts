import {
  type ASTNode,
  TypeError as CelTypeError,
  Environment,
  EvaluationError,
  ParseError,
} from '@marcbachmann/cel-js';
import { InvalidMetric } from './invalid-metric.ts';

/** What one measurement of a query is. NoData is no measurement: it counts neither for nor against the canary. */
export type Outcome = 'Successful' | 'Failed' | 'Inconclusive' | 'NoData';

/** Compiled conditions over what a query gave. */
export interface Conditions {
  /**
   * @param samples numbers; NaN is no data
   * @throws {UnusableResult} when the conditions cannot be evaluated over them
   */
  assess(samples: readonly number[]): Outcome;
}

/** What a query gave is not what its conditions are about. */
export class UnusableResult extends Error {
  override readonly name = 'UnusableResult';
}

/** Samples of one query that conditions are evaluated over: a bound on what an expression may cost. */
export const MAX_SAMPLES = 1_000;
const MAX_NODES = 200;
const MAX_DEPTH = 20;
const LOOPS: readonly string[] = ['all', 'exists', 'exists_one', 'map', 'filter'];

type ResultType = 'double' | 'list<double>';

const environmentOf = (result: ResultType) =>
  new Environment({ limits: { maxAstNodes: MAX_NODES, maxDepth: MAX_DEPTH } }).registerVariable('result', result);

interface Condition {
  readonly result: ResultType;
  holds(result: number | readonly number[]): boolean;
}

interface Problem {
  readonly position: number;
  readonly text: string;
}

const problemOf = (error: ParseError | CelTypeError): Problem => ({
  position: (error.range?.start ?? 0) + 1,
  text: error.summary,
});

const isNode = (value: unknown): value is ASTNode => typeof value === 'object' && value !== null && 'op' in value;

/**
 * What would take longer than a line of arithmetic may: a regular expression can take for ever, loops in loops multiply.
 */
function costlyPart(node: unknown, loops = 0): Problem | undefined {
  if (Array.isArray(node)) {
    for (const part of node) {
      const found = costlyPart(part, loops);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (!isNode(node)) return undefined;
  const called = node.op === 'rcall' || node.op === 'call' ? node.args[0] : undefined;
  if (called === 'matches') return { position: node.start + 1, text: 'matches() is not offered here' };
  const isLoop = node.op === 'rcall' && LOOPS.includes(node.args[0]);
  if (isLoop && loops > 0)
    return { position: node.start + 1, text: `${called}() inside of another loop is not offered here` };
  return costlyPart(node.args, loops + Number(isLoop));
}

function compileFor(expression: string, result: ResultType): Condition | Problem {
  try {
    const parsed = environmentOf(result).parse(expression);
    const costly = costlyPart(parsed.ast);
    if (costly !== undefined) return costly;
    const { valid, type, error } = parsed.check();
    if (!valid) return error === undefined ? { position: 1, text: 'does not compile' } : problemOf(error);
    if (type !== 'bool') return { position: 1, text: `must be true or false, not ${type}` };
    return {
      result,
      holds: (value) => {
        try {
          return parsed({ result: value }) === true;
        } catch (error) {
          if (error instanceof EvaluationError) throw new UnusableResult(`${expression}: ${error.summary}`);
          throw error;
        }
      },
    };
  } catch (error) {
    if (error instanceof ParseError || error instanceof CelTypeError) return problemOf(error);
    throw error;
  }
}

/** An expression is over one number where it can be, and else over the list of all numbers. */
function compile(expression: string | undefined, field: string): Condition | undefined {
  if (expression === undefined) return undefined;
  const asNumber = compileFor(expression, 'double');
  if ('holds' in asNumber) return asNumber;
  const asList = compileFor(expression, 'list<double>');
  if ('holds' in asList) return asList;
  throw new InvalidMetric(field, `at character ${asNumber.position} of "${expression}": ${asNumber.text}`);
}

/**
 * Argo Rollouts' semantics: failure wins; with success alone all else has failed; with failure alone all else is successful;
 * with both and neither true a measurement is inconclusive. No data is none of them.
 * @throws {InvalidMetric} with the field and the position, for an expression that does not compile or may cost too much
 */
export function compileConditions(
  expressions: { readonly success?: string; readonly failure?: string },
  path: string,
): Conditions {
  const success = compile(expressions.success, `${path}.success`);
  const failure = compile(expressions.failure, `${path}.failure`);
  const holds = (condition: Condition, samples: readonly number[]) => {
    if (condition.result === 'list<double>') return condition.holds(samples);
    const [only] = samples;
    if (samples.length !== 1 || only === undefined) {
      throw new UnusableResult(`the query gave ${samples.length} numbers where the condition is about one`);
    }
    return condition.holds(only);
  };
  return {
    assess(samples) {
      if (samples.length === 0 || samples.some(Number.isNaN)) return 'NoData';
      if (samples.length > MAX_SAMPLES) {
        throw new UnusableResult(`the query gave ${samples.length} numbers, more than ${MAX_SAMPLES}`);
      }
      if (failure !== undefined && holds(failure, samples)) return 'Failed';
      if (success === undefined) return 'Successful';
      if (holds(success, samples)) return 'Successful';
      return failure === undefined ? 'Failed' : 'Inconclusive';
    },
  };
}
