import Type from 'typebox';
import Value from 'typebox/value';
import { Agent, request } from 'undici';

/**
 * Instant queries to a Prometheus server, or to what speaks its HTTP API. The operator reads no Secrets, so it presents
 * none: a server that wants credentials is reached through a proxy of the user's own that adds them.
 */

export interface PrometheusQuery {
  /** URL under which the server has its `/api/v1`. */
  readonly address: string;
  readonly query: string;
  /** From the question to the whole answer. */
  readonly timeoutMs: number;
}

/** Why a query gave no numbers; a sentence for people. */
export class PrometheusError extends Error {
  override readonly name = 'PrometheusError';
}

const MAX_ANSWER_BYTES = 1024 * 1024;
/** Of what a server says about an error, so much is told on. */
const MAX_TOLD = 300;

const Sample = Type.Tuple([Type.Number(), Type.String()]);
const Scalar = Type.Object({ resultType: Type.Literal('scalar'), result: Sample });
const Vector = Type.Object({
  resultType: Type.Literal('vector'),
  result: Type.Array(Type.Object({ value: Sample })),
});
const Answer = Type.Object({
  status: Type.Literal('success'),
  data: Type.Union([Scalar, Vector]),
});
const OtherAnswer = Type.Object({
  status: Type.Literal('success'),
  data: Type.Object({ resultType: Type.String() }),
});
const Refusal = Type.Object({ status: Type.Literal('error'), errorType: Type.String(), error: Type.String() });

export interface PrometheusClient {
  /**
   * The numbers that a query gives now, one for each series; none where there is no series. NaN is no number.
   * @throws {PrometheusError} where there is no answer in time, or one that holds no plain numbers
   */
  query(query: PrometheusQuery, signal: AbortSignal): Promise<readonly number[]>;
  close(): Promise<void>;
}

export function prometheusClient(): PrometheusClient {
  // Whoever asks bounds how much is asked at once: a question that waited for a connection would use up its time by that.
  const agent = new Agent({ pipelining: 1 });
  return {
    query: (query, signal) => ask(agent, query, signal),
    close: () => agent.close(),
  };
}

async function ask(
  dispatcher: Agent,
  { address, query, timeoutMs }: PrometheusQuery,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const url = new URL(address);
  // Behind a query or a fragment the path would be none, and the request one for whatever stands before.
  url.search = '';
  url.hash = '';
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/api/v1/query`;
  url.searchParams.set('query', query);
  url.searchParams.set('timeout', `${timeoutMs}ms`);
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await request(url, { dispatcher, signal: AbortSignal.any([signal, timeout]) });
    return numbersOf(answer.statusCode, await textOf(answer.body));
  } catch (error) {
    if (error instanceof PrometheusError) throw error;
    if (timeout.aborted) throw new PrometheusError(`${url.origin} did not answer within ${timeoutMs} ms`);
    throw new PrometheusError(`${url.origin} cannot be asked: ${reasonOf(error)}`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Of several addresses that were tried, each has its reason.
  const [first] = error instanceof AggregateError ? (error.errors as unknown[]) : [];
  return first instanceof Error ? first.message : error.message;
}

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_ANSWER_BYTES) throw new PrometheusError(`the answer has more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function numbersOf(status: number, text: string): readonly number[] {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw strange(status);
  }
  if (Value.Check(Refusal, answer)) {
    const told = `${answer.errorType}: ${answer.error}`.slice(0, MAX_TOLD);
    throw new PrometheusError(`the query was refused (status ${status}): ${told}`);
  }
  if (Value.Check(Answer, answer)) {
    const { data } = answer;
    const samples = data.resultType === 'scalar' ? [data.result] : data.result.map(({ value }) => value);
    return samples.map(([, written]) => numberOf(written));
  }
  if (Value.Check(OtherAnswer, answer)) {
    const kind = answer.data.resultType;
    const what = kind === 'vector' ? 'histograms' : `a ${kind.slice(0, 32)}`;
    throw new PrometheusError(`the query gives ${what}; a scalar or an instant vector of plain numbers is needed`);
  }
  throw strange(status);
}

/** What some other server says is nobody's business: addresses are the user's, and answers reach a status. */
function strange(status: number): PrometheusError {
  // Prometheus itself says so in plain text as long as it reads its log after a start, which may take minutes.
  if (status === 503) return new PrometheusError('the server is not ready (status 503)');
  return new PrometheusError(`the answer (status ${status}) is not that of a Prometheus server`);
}

/** As Prometheus writes numbers: `1.5`, `NaN`, `+Inf`, `-Inf`. */
function numberOf(written: string): number {
  if (/^[+-]?Inf$/.test(written)) {
    return written.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  return Number(written);
}
