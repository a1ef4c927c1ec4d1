import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command } from './command.ts';
import { cacheRoot } from './paths.ts';

export interface ImageBuild {
  /** With a tag that says which content it is. */
  readonly image: string;
  readonly context: string;
  /** The text of a Containerfile; without it, the context's Dockerfile. */
  readonly containerfile?: string;
  readonly target?: string;
  readonly buildArguments?: Readonly<Record<string, string>>;
  /** Directories of this machine that build steps see: `HOST:CONTAINER:ro`. */
  readonly volumes?: readonly string[];
}

const storage = ['--root', join(cacheRoot, 'buildah', 'storage'), '--runroot', join(cacheRoot, 'buildah', 'run')];
const archives = join(cacheRoot, 'images');

const archiveOf = (image: string): string => join(archives, `${image.replaceAll(/[/:]/g, '_')}.tar`);

const buildah = (...args: string[]): Promise<string> => command('buildah', [...storage, ...args]);

export const hasImage = (image: string): Promise<boolean> =>
  buildah('inspect', '--type', 'image', image).then(
    () => true,
    () => false,
  );

/** Builds an image, without a daemon and without a registry, into a storage of our own. */
export async function buildImage(build: ImageBuild): Promise<void> {
  await mkdir(archives, { recursive: true });
  // buildah opens /dev/stdin by name, which a pipe from Node does not allow: so the text goes through a file.
  const containerfile = join(archives, 'Containerfile');
  if (build.containerfile !== undefined) await writeFile(containerfile, build.containerfile);
  await buildah(
    ...['bud', '--isolation', 'chroot', '--pull=never', '--layers', '--timestamp=0'],
    ...Object.entries(build.buildArguments ?? {}).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
    ...(build.volumes ?? []).flatMap((volume) => ['--volume', volume]),
    ...(build.target === undefined ? [] : ['--target', build.target]),
    ...(build.containerfile === undefined ? [] : ['-f', containerfile]),
    ...['-t', build.image, build.context],
  );
}

/** @returns the path of the image as a docker-archive, written unless it is there. */
export async function saveImage(image: string): Promise<string> {
  const archive = archiveOf(image);
  const saved = await access(archive).then(
    () => true,
    () => false,
  );
  if (saved) return archive;
  const partial = `${archive}.partial`;
  await rm(partial, { force: true });
  await buildah('push', image, `docker-archive:${partial}:${image}`);
  await rename(partial, archive);
  return archive;
}

/** Deletes the images of this repository but the one that is kept, with their archives. */
export async function removeOtherImages(kept: string): Promise<void> {
  const repository = kept.slice(0, kept.lastIndexOf(':'));
  const names = (await buildah('images', '--format', '{{.Name}}:{{.Tag}}')).split('\n');
  for (const name of names) {
    if (!name.startsWith(`${repository}:`) || name === kept) continue;
    await buildah('rmi', name);
    await rm(archiveOf(name), { force: true });
  }
}
