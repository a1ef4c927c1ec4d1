import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { CountsSnapshot } from '../../api/counts.ts';

/**
 * A record of what an analysis reads, so that a policy can be tried on it before it is trusted: lines of JSON, each of one
 * reading. `fairlead record` writes it.
 */

const strict = { additionalProperties: false };

const Told = Type.Union([
  Type.Object(
    {
      /** Of the pod, or the URL that was read: the same in every line. */
      source: Type.String({ minLength: 1 }),
      counts: CountsSnapshot,
    },
    strict,
  ),
  Type.Object({ source: Type.String({ minLength: 1 }), failure: Type.String() }, strict),
]);
export type Told = Static<typeof Told>;

const Numbers = Type.Union([
  Type.Object(
    /** As Prometheus writes them, since JSON has no NaN: "0.5", "NaN", "+Inf". */
    { samples: Type.Array(Type.Union([Type.Number(), Type.Enum(['NaN', '+Inf', '-Inf'])])) },
    strict,
  ),
  Type.Object({ failure: Type.String() }, strict),
]);

export const RecordedReading = Type.Object(
  {
    /** Milliseconds since 1970, as far as there are dates. */
    atMs: Type.Number({ minimum: 0, maximum: 8.64e15 }),
    routers: Type.Array(Told),
    /** Servers tell what was predicted; and requests, where there are no routers. */
    servers: Type.Array(Told),
    /** What queries gave, by the name of the metric. */
    queries: Type.Optional(Type.Record(Type.String(), Numbers)),
  },
  strict,
);
export type RecordedReading = Static<typeof RecordedReading>;

const reading = Compile(RecordedReading);

/** A line of a record that is not one. */
export class InvalidRecord extends Error {
  override readonly name = 'InvalidRecord';
}

/** @throws {InvalidRecord} naming the line and what is wrong with it */
export function parseReading(line: string, lineNumber: number): RecordedReading {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new InvalidRecord(`line ${lineNumber} is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (!reading.Check(value)) {
    const [first] = reading.Errors(value);
    // A field that there is not is told as one whose schema is `false`.
    const problem = first?.keyword === 'boolean' ? 'is no field' : (first?.message ?? 'is not as it should be');
    throw new InvalidRecord(`line ${lineNumber}: ${first?.instancePath || 'the reading'} ${problem}`);
  }
  const contradiction = [...value.routers, ...value.servers].map(contradictionIn).find((found) => found !== undefined);
  if (contradiction !== undefined) throw new InvalidRecord(`line ${lineNumber}: ${contradiction}`);
  return value;
}

/** Counts that cannot be: they would be judged as more errors than there are requests. */
function contradictionIn(told: Told): string | undefined {
  if (!('counts' in told)) return undefined;
  for (const [name, revisions] of Object.entries(told.counts.revisions)) {
    for (const [revision, { requests, errors, mirror }] of Object.entries(revisions)) {
      const of = `${told.source} tells of ${revision} of ${name}`;
      if (errors > requests) return `${of} ${errors} errors of ${requests} requests`;
      if (mirror === undefined) continue;
      if (mirror.errors > mirror.requests) return `${of} ${mirror.errors} errors of ${mirror.requests} copies`;
      if (mirror.agreed > mirror.compared) return `${of} ${mirror.agreed} alike of ${mirror.compared} pairs`;
    }
  }
  return undefined;
}

/** A sample as a number. */
export const sampleOf = (sample: number | 'NaN' | '+Inf' | '-Inf'): number =>
  sample === '+Inf' ? Number.POSITIVE_INFINITY : sample === '-Inf' ? Number.NEGATIVE_INFINITY : Number(sample);

/** The other way round. */
export const recordedSample = (sample: number): number | 'NaN' | '+Inf' | '-Inf' =>
  Number.isFinite(sample) ? sample : Number.isNaN(sample) ? 'NaN' : sample > 0 ? '+Inf' : '-Inf';
