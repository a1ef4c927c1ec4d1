import { LoadFailure } from './failure.ts';
import { contentLength, type HttpAnswer, httpGet, skipped, statusFailure } from './http-client.ts';
import { resumed, withRetries } from './retry.ts';
import type { ModelEntry, ModelSource, SourceOptions } from './source.ts';

/** `http(s)://host/path/model.onnx`: one file, taken up again by Range when the connection drops. */
export const httpSource: ModelSource = {
  async open(uri, options) {
    const url = parseUrl(`${uri.scheme}://${uri.rest}`, uri.shown);
    const authorization = authorizationOf(url, options);
    url.username = '';
    url.password = '';
    const { sizeBytes, content } = await httpFile(url, uri.shown, authorization, options);
    const name = url.pathname.split('/').at(-1) || 'model.onnx';
    return { layout: 'file', entries: single({ path: entryName(name), sizeBytes, content }) };
  },
};

/**
 * One file, opened from its start.
 * @param shown what failures call it
 * @throws LoadFailure when there is none, or it cannot be reached or read.
 */
export async function httpFile(
  url: URL,
  shown: string,
  authorization: string | undefined,
  options: SourceOptions,
): Promise<Omit<ModelEntry, 'path'>> {
  const get = async (offsetBytes: number, validator?: string): Promise<HttpAnswer> => {
    const range =
      offsetBytes === 0 ? {} : { range: `bytes=${offsetBytes}-`, ...(validator ? { 'if-range': validator } : {}) };
    const answer = await httpGet(url, { headers: range, authorization }, options);
    if (answer.status === 200 || (answer.status === 206 && beginsAt(answer) === offsetBytes && offsetBytes > 0)) {
      return plain(answer, shown);
    }
    answer.discard();
    throw statusFailure(answer.status, shown, answer.status === 206 ? 'another part than was asked for' : '');
  };
  const first = await withRetries(shown, options, () => get(0));
  const validator = validatorOf(first);
  const sizeBytes = contentLength(first);
  const content = resumed(shown, options, first.body, sizeBytes, async (offsetBytes) => {
    const answer = await get(offsetBytes, validator);
    if (validatorOf(answer) !== validator) {
      answer.discard();
      throw new LoadFailure('SourceUnreachable', `${shown} was changed while it was read; try again`);
    }
    return answer.status === 206 ? answer.body : skipped(answer.body, offsetBytes);
  });
  return { sizeBytes, content };
}

/** Where in the file a part begins, in bytes. */
function beginsAt({ headers }: HttpAnswer): number | undefined {
  const start = /^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1];
  return start === undefined ? undefined : Number(start);
}

/** @throws LoadFailure where the bytes are not the file's own, whose digest is what counts. */
function plain(answer: HttpAnswer, shown: string): HttpAnswer {
  const { 'content-encoding': encoding = 'identity' } = answer.headers;
  if (encoding.toLowerCase() === 'identity') return answer;
  answer.discard();
  throw new LoadFailure(
    'SourceUnreachable',
    `${shown} is sent with Content-Encoding: ${encoding}, though it was asked for as it is; switch that off at the host`,
  );
}

async function* single(entry: ModelEntry): AsyncGenerator<ModelEntry> {
  yield entry;
}

/** A file's own name says nothing of its content, and a hidden one would not count as part of a model. */
function entryName(name: string): string {
  return /^\w[\w.-]*$/.test(name) ? name : 'model.onnx';
}

function parseUrl(text: string, shown: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new LoadFailure('InvalidConfiguration', `${shown} is not a URL`);
}

function authorizationOf(url: URL, { credentials }: SourceOptions): string | undefined {
  if (url.username !== '' || url.password !== '') {
    const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    return `Basic ${Buffer.from(pair).toString('base64')}`;
  }
  return credentials.httpBearerToken === undefined ? undefined : `Bearer ${credentials.httpBearerToken}`;
}

/** What tells one version of a file from the next: a strong ETag, or when it was last modified. */
function validatorOf({ headers }: HttpAnswer): string | undefined {
  const { etag, 'last-modified': modified } = headers;
  if (typeof etag === 'string' && !etag.startsWith('W/')) return etag;
  return typeof modified === 'string' ? modified : undefined;
}
