import { readFile } from 'node:fs/promises';
import { load } from 'js-yaml';
import type { TSchema } from 'typebox';
import Value from 'typebox/value';
import { Analysis } from '../../api/v1alpha1/analysis.ts';
import { Rollout } from '../../api/v1alpha1/rollout.ts';
import { type AnalysisPolicy, compilePolicy, type Traffic } from '../../rollout/analysis/policy.ts';
import { compileRollout } from '../../rollout/compile.ts';
import { brokenRule } from './validation-rules.ts';

/** A file that holds no analysis. */
export class InvalidPolicy extends Error {
  override readonly name = 'InvalidPolicy';
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** The first field that one value has and the other has not: the API server would drop it. */
function unknownField(value: unknown, known: unknown, path: string): string | undefined {
  if (!isObject(value) || !isObject(known)) return undefined;
  for (const [field, inner] of Object.entries(value)) {
    if (!Object.hasOwn(known, field)) return `${path}.${field}`;
    const found = unknownField(inner, known[field], `${path}.${field}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a schema describes, with its defaults, as the API server would take it. @throws {InvalidPolicy} naming the first field that does not fit */
function checked(schema: TSchema, value: unknown, path: string): unknown {
  const unknown = unknownField(value, Value.Clean(schema, structuredClone(value)), path);
  if (unknown !== undefined) throw new InvalidPolicy(`${unknown} is no field`);
  const whole = Value.Default(schema, structuredClone(value));
  if (!Value.Check(schema, whole)) {
    const [first] = Value.Errors(schema, whole);
    throw new InvalidPolicy(
      `${path}${first?.instancePath.replaceAll('/', '.') ?? ''} ${first?.message ?? 'does not fit'}`,
    );
  }
  const broken = brokenRule(schema, whole, path);
  if (broken !== undefined) throw new InvalidPolicy(broken);
  return whole;
}

function parsed(text: string): unknown {
  try {
    return load(text);
  } catch (error) {
    throw new InvalidPolicy(`not YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A step with such traffic; one where the canary answers all is the last one. */
const stepOf = (traffic: Traffic, analyse: readonly string[] | undefined) => ({
  traffic,
  limitsOnly: traffic === 'Whole',
  ...(analyse && { analyse }),
});

/**
 * The policy of a file that holds what a ModelDeployment has under `spec.rollout.analysis`.
 * @throws {InvalidPolicy} and InvalidMetric, naming the field
 */
export function policyOfAnalysis(text: string, traffic: Traffic, analyse?: readonly string[]): AnalysisPolicy {
  const analysis = checked(Analysis, parsed(text) ?? {}, 'analysis') as Analysis;
  return compilePolicy(analysis, { ...stepOf(traffic, analyse), analysedSteps: 1 });
}

/**
 * The policy of a ModelDeployment's manifest, with as many judged steps as it has.
 * @throws {InvalidPolicy} and InvalidMetric, naming the field
 */
export function policyOfDeployment(text: string, traffic: Traffic, analyse?: readonly string[]): AnalysisPolicy {
  const manifest = parsed(text) as
    | { readonly kind?: unknown; readonly spec?: { readonly rollout?: unknown } }
    | undefined;
  if (manifest?.kind !== 'ModelDeployment') {
    throw new InvalidPolicy(`kind must be ModelDeployment, not ${JSON.stringify(manifest?.kind ?? null)}`);
  }
  const rollout = checked(Rollout, manifest.spec?.rollout ?? {}, 'spec.rollout') as Rollout;
  const analysis = rollout.analysis ?? (Value.Default(Analysis, {}) as Analysis);
  const analysedSteps = compileRollout(rollout).steps.filter((step) => step.analyse.length > 0).length;
  return compilePolicy(analysis, { ...stepOf(traffic, analyse), analysedSteps: Math.max(1, analysedSteps) });
}

/** Paths of files, of which at most one is given. */
export interface PolicyFlags {
  readonly policy?: string;
  readonly deployment?: string;
}

/** @returns undefined where no file is given. @throws {InvalidPolicy}, InvalidMetric, and what the file system throws */
export async function policyInFile(
  { policy, deployment }: PolicyFlags,
  traffic: Traffic,
  analyse?: readonly string[],
): Promise<AnalysisPolicy | undefined> {
  if (deployment !== undefined) return policyOfDeployment(await readFile(deployment, 'utf8'), traffic, analyse);
  if (policy !== undefined) return policyOfAnalysis(await readFile(policy, 'utf8'), traffic, analyse);
  return undefined;
}
