import Type from 'typebox';
import Value from 'typebox/value';
import { LoadFailure } from './failure.ts';
import { bodyBytes, httpGet, statusFailure } from './http-client.ts';
import { httpFile } from './http-source.ts';
import { withRetries } from './retry.ts';
import { isModelPath, type ModelCredentials, type ModelEntry, type ModelSource, type SourceOptions } from './source.ts';

/** What a tracking server answers about one of its folders; paths are relative to it. */
const Listing = Type.Object({
  files: Type.Optional(
    Type.Array(
      Type.Object({
        path: Type.String({ minLength: 1 }),
        is_dir: Type.Optional(Type.Boolean()),
        // int64 in MLflow's protocol: some of its servers write those as texts.
        file_size: Type.Optional(Type.Union([Type.Number(), Type.String()])),
      }),
    ),
  ),
});

const MAX_LISTING_BYTES = 16 << 20;
/** More files than this in one model are taken for a mistake, such as a URI that names a whole experiment. */
const MAX_FILES = 10_000;

/**
 * `mlflow-artifacts:///PATH`: a directory that an MLflow tracking server keeps and hands out itself. The server is the
 * endpoint; MLflow's own clients find it the same way.
 */
export const mlflowSource: ModelSource = {
  async open(uri, options) {
    const server = serverOf(uri.shown, options.endpoint);
    const authorization = authorizationOf(options.credentials);
    // A host in the URI is one that MLflow's clients know; pods are told theirs.
    const root = pathOf(uri.rest.replace(/^[^/]*/, ''));
    const files = await filesBelow(server, root, uri.shown, authorization, options);
    if (files.length === 0)
      throw new LoadFailure('ModelNotFound', `${uri.shown}: the tracking server has no files there`);
    const entries = async function* (): AsyncGenerator<ModelEntry> {
      for (const path of files) {
        const url = new URL(`${server}/api/2.0/mlflow-artifacts/artifacts/${encoded(`${root}/${path}`)}`);
        yield { path, ...(await httpFile(url, `${uri.shown}/${path}`, authorization, options)) };
      }
    };
    return { layout: 'directory', entries: entries() };
  },
};

async function filesBelow(
  server: string,
  root: string,
  shown: string,
  authorization: string | undefined,
  options: SourceOptions,
): Promise<readonly string[]> {
  const files: string[] = [];
  const pending = [''];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    const url = new URL(`${server}/api/2.0/mlflow-artifacts/artifacts`);
    url.searchParams.set('path', folder === '' ? root : `${root}/${folder}`);
    const listing = await withRetries(shown, options, async () => {
      const answer = await httpGet(url, { authorization }, options);
      if (answer.status !== 200) {
        answer.discard();
        throw statusFailure(answer.status, shown);
      }
      return parseListing((await bodyBytes(answer, MAX_LISTING_BYTES, `the listing of ${shown}`)).toString(), shown);
    });
    for (const { path: child, is_dir: isDirectory } of listing.files ?? []) {
      const path = folder === '' ? child : `${folder}/${child}`;
      if (!isModelPath(path)) continue;
      (isDirectory === true ? pending : files).push(path);
      if (files.length + pending.length > MAX_FILES) {
        throw new LoadFailure(
          'InvalidModel',
          `${shown} holds more than ${MAX_FILES} files; name the model's directory`,
        );
      }
    }
  }
  return files.sort();
}

function parseListing(text: string, shown: string) {
  try {
    return Value.Parse(Listing, JSON.parse(text));
  } catch (error) {
    throw new LoadFailure(
      'SourceUnreachable',
      `${shown}: what answers is no MLflow tracking server that keeps artifacts`,
      {
        cause: error,
      },
    );
  }
}

function serverOf(shown: string, endpoint: string | undefined): string {
  if (endpoint === undefined || !URL.canParse(endpoint)) {
    throw new LoadFailure(
      'InvalidConfiguration',
      `${shown} needs the tracking server as endpoint, not ${endpoint ?? 'none'}`,
    );
  }
  return endpoint.replace(/\/+$/, '');
}

function pathOf(rest: string): string {
  return rest
    .split('/')
    .filter((part) => part !== '')
    .join('/');
}

function encoded(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

function authorizationOf({ mlflowToken, mlflowUsername, mlflowPassword }: ModelCredentials): string | undefined {
  if (mlflowUsername !== undefined) {
    return `Basic ${Buffer.from(`${mlflowUsername}:${mlflowPassword ?? ''}`).toString('base64')}`;
  }
  return mlflowToken === undefined ? undefined : `Bearer ${mlflowToken}`;
}
