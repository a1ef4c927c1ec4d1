import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command } from './command.ts';
import { withLock } from './lock.ts';
import { cacheRoot } from './paths.ts';

export interface ImageBuild {
  /** With a tag that says which content it is. */
  readonly image: string;
  readonly context: string;
  /** The text of a Containerfile; without it, the context's Dockerfile. */
  readonly containerfile?: string;
  readonly target?: string;
  readonly buildArguments?: Readonly<Record<string, string>>;
  readonly onLine?: (line: string) => void;
}

const storage = ['--root', join(cacheRoot, 'buildah'), '--runroot', join(cacheRoot, 'buildah-run')];

/** Where the archive of an image is kept. */
export const archiveOf = (image: string): string => join(cacheRoot, 'images', `${image.replaceAll(/[/:]/g, '_')}.tar`);

/**
 * Builds an image without a daemon and without a registry, and keeps it as a docker-archive; an image that is kept
 * already is not built again.
 * @returns the path of the archive.
 */
export async function buildImage(build: ImageBuild): Promise<string> {
  const archive = archiveOf(build.image);
  const exists = () =>
    access(archive).then(
      () => true,
      () => false,
    );
  if (await exists()) return archive;
  return withLock(join(cacheRoot, 'images.lock'), waiting, async () => {
    if (await exists()) return archive;
    await mkdir(join(cacheRoot, 'images'), { recursive: true });
    const given = Object.entries(build.buildArguments ?? {}).flatMap(([name, value]) => [
      '--build-arg',
      `${name}=${value}`,
    ]);
    const target = build.target === undefined ? [] : ['--target', build.target];
    const partial = `${archive}.partial`;
    const file = build.containerfile === undefined ? [] : ['-f', `${archive}.containerfile`];
    // buildah opens /dev/stdin by name, which a pipe from Node does not allow: so the text goes through a file.
    if (build.containerfile !== undefined) await writeFile(`${archive}.containerfile`, build.containerfile);
    await command(
      'buildah',
      [
        ...[...storage, 'bud', '--isolation', 'chroot', '--pull=never', '--layers'],
        ...[...given, ...target, ...file, '-t', build.image, build.context],
      ],
      build.onLine === undefined ? {} : { onErrorLine: build.onLine },
    );
    await rm(partial, { force: true });
    await command('buildah', [...storage, 'push', build.image, `docker-archive:${partial}:${build.image}`]);
    await rename(partial, archive);
    return archive;
  });
}

const waiting = (): void => {
  process.stderr.write('another process builds an image; waiting\n');
};
