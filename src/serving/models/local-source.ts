import { createReadStream } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join, sep } from 'node:path';
import { LoadFailure } from './failure.ts';
import { isModelPath, type ModelContent, type ModelEntry, type ModelSource, type ModelUri } from './source.ts';

/** More files than this in one directory are taken for a mistake, such as a URI that names a whole volume. */
const MAX_FILES = 100_000;

/** `file:///absolute/path`: the author of the URI chooses any path, so links are followed anywhere. */
export const fileSource: ModelSource = {
  async open(uri) {
    const path = decodePath(uri, uri.rest);
    if (!path.startsWith('/')) {
      throw new LoadFailure(
        'InvalidConfiguration',
        `${uri.shown}: a file URI names an absolute path: file:///models/churn`,
      );
    }
    return localContent(uri.shown, path, '/');
  },
};

/**
 * `pvc://CLAIM/PATH`: files of a claim that is mounted at `<pvcRoot>/CLAIM`. Others write to a claim, so neither `..`
 * nor a link may lead out of it.
 */
export const pvcSource: ModelSource = {
  async open(uri, { pvcRoot }) {
    const [claim = '', ...rest] = decodePath(uri, uri.rest).split('/');
    if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(claim) || rest.includes('..')) {
      throw new LoadFailure('InvalidConfiguration', `${uri.shown}: write pvc://CLAIM/PATH, with no .. in the path`);
    }
    const root = await realpath(join(pvcRoot, claim)).catch((error: unknown) => {
      throw failureOf(error, `${uri.shown}: claim ${claim} is not mounted`);
    });
    return localContent(uri.shown, join(root, ...rest), root);
  },
};

interface LocalFile {
  readonly path: string;
  readonly realPath: string;
  readonly sizeBytes: number;
  /** Changes when the file is written or replaced. */
  readonly identity: string;
}

/**
 * A file or directory that lies at `path`; no link in it may lead out of `root`.
 * @throws LoadFailure when it is missing or unreadable.
 */
export async function localContent(shown: string, path: string, root: string): Promise<ModelContent> {
  const list = async () => {
    const real = await inside(shown, path, root);
    return (await stat(real)).isDirectory()
      ? { layout: 'directory' as const, files: await filesBelow(shown, real, root) }
      : { layout: 'file' as const, files: [await describe(real, basename(path), shown)] };
  };
  const { layout, files } = await list();
  return {
    layout,
    entries: entriesOf(shown, files),
    local: {
      path: await inside(shown, path, root),
      fingerprint: async () => (await list()).files.map((file) => `${file.path} ${file.identity}`).join('\n'),
    },
  };
}

async function* entriesOf(shown: string, files: readonly LocalFile[]): AsyncGenerator<ModelEntry> {
  for (const { path, realPath, sizeBytes } of files) yield { path, sizeBytes, content: contentOf(shown, realPath) };
}

async function* contentOf(shown: string, realPath: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(realPath, { highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw failureOf(error, shown);
  }
}

/** The real path of `path`. @throws LoadFailure when it is missing, or a link leads out of `root`. */
async function inside(shown: string, path: string, root: string): Promise<string> {
  const real = await realpath(path).catch((error: unknown) => {
    throw failureOf(error, shown);
  });
  if (root !== '/' && real !== root && !real.startsWith(root + sep)) {
    throw new LoadFailure('AccessDenied', `${shown}: ${path} is a link that leads out of its volume`);
  }
  return real;
}

/** A folder that is to be read: its path in the model, and the real ones of itself and of those above it. */
interface Folder {
  readonly path: string;
  readonly trail: readonly string[];
}

/** What mkfs leaves in the root of a volume, for root alone to read. */
const LOST_AND_FOUND = 'lost+found';

async function filesBelow(shown: string, directory: string, root: string): Promise<LocalFile[]> {
  const files: LocalFile[] = [];
  const pending: Folder[] = [{ path: '', trail: [directory] }];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    const { trail } = folder;
    const names = await readdir(join(directory, folder.path)).catch((error: unknown) => {
      throw failureOf(error, shown);
    });
    for (const name of names) {
      const path = folder.path === '' ? name : `${folder.path}/${name}`;
      if (!isModelPath(path) || path === LOST_AND_FOUND) continue;
      const real = await inside(shown, join(directory, path), root);
      if (!(await stat(real)).isDirectory()) files.push(await describe(real, path, shown));
      else if (!trail.includes(real)) pending.push({ path, trail: [...trail, real] });
      else throw new LoadFailure('InvalidModel', `${shown}: ${path} is a link to a directory that it is in`);
      if (files.length + pending.length > MAX_FILES) {
        throw new LoadFailure(
          'InvalidModel',
          `${shown} holds more than ${MAX_FILES} files; name the model's directory`,
        );
      }
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function describe(realPath: string, path: string, shown: string): Promise<LocalFile> {
  const found = await stat(realPath, { bigint: true });
  if (!found.isFile()) {
    throw new LoadFailure('InvalidModel', `${shown}: ${path} is neither a file nor a directory`);
  }
  const identity = `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
  return { path, realPath, sizeBytes: Number(found.size), identity };
}

function decodePath(uri: ModelUri, path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    throw new LoadFailure('InvalidConfiguration', `${uri.shown}: a % in a URI is written %25`, { cause: error });
  }
}

function failureOf(error: unknown, what: string): LoadFailure {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const text = error instanceof Error ? error.message : String(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return new LoadFailure('ModelNotFound', `${what}: ${text}`);
  if (code === 'EACCES' || code === 'EPERM') return new LoadFailure('AccessDenied', `${what}: ${text}`);
  return new LoadFailure('LoadFailed', `${what}: ${text}`, { cause: error });
}
