import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { ensureBaseImages } from './base-image.ts';
import { buildImage, hasImage, removeOtherImages, saveImage } from './buildah.ts';
import { withLock } from './lock.ts';
import { cacheRoot, repositoryRoot } from './paths.ts';
import { formatElapsed, type Progress } from './progress.ts';

const REPOSITORY = 'fairlead.local/fairlead';
/** What the image is made of; tests are not. */
const SOURCES = [
  'Dockerfile',
  '.dockerignore',
  '.npmrc',
  'package.json',
  'package-lock.json',
  'scripts/build.ts',
  'src',
];

export interface BuiltImage {
  /** Tagged by a hash of the sources. */
  readonly image: string;
  /** The image as a docker-archive. */
  readonly archive: string;
}

/** The name of this tree's image: the tag is a hash of what it is made of. */
export const imageName = async (): Promise<string> => `${REPOSITORY}:${await hashSources()}`;

/** Builds the project's image by its Dockerfile; an unchanged tree is not built again. */
export async function ensureFairleadImage(progress: Progress): Promise<BuiltImage> {
  const wait = () => progress('another process builds the image; waiting');
  return withLock(join(cacheRoot, 'image.lock'), wait, async () => {
    const image = await imageName();
    if (await hasImage(image)) return { image, archive: await saveImage(image) };
    const startMs = performance.now();
    progress(`building ${image} with buildah`);
    const bases = await ensureBaseImages(progress);
    await buildImage({
      image,
      context: repositoryRoot,
      target: 'cpu',
      buildArguments: { BUILD_IMAGE: bases.build, BASE_IMAGE: bases.runtime },
      volumes: [`${join(repositoryRoot, 'node_modules')}:/source/node_modules:ro`],
    });
    await removeOtherImages(image);
    const archive = await saveImage(image);
    progress(`built in ${formatElapsed(performance.now() - startMs)}`);
    return { image, archive };
  });
}

async function hashSources(): Promise<string> {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    const path = join(repositoryRoot, source);
    const files = (await stat(path)).isDirectory()
      ? (await readdir(path, { recursive: true, withFileTypes: true }))
          .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
          .map((entry) => join(entry.parentPath, entry.name))
          .sort()
      : [path];
    for (const file of files) {
      hash.update(`${file.slice(repositoryRoot.length)}\0`);
      hash.update(await readFile(file));
    }
  }
  return hash.digest('hex').slice(0, 12);
}

/** An archive holds the layers as they are unpacked; gzip's default level is what registries keep. */
export async function imageSizes(archive: string): Promise<{ unpackedBytes: number; compressedBytes: number }> {
  let compressedBytes = 0;
  await pipeline(createReadStream(archive), createGzip(), async (chunks) => {
    for await (const chunk of chunks) compressedBytes += (chunk as Buffer).length;
  });
  return { unpackedBytes: (await stat(archive)).size, compressedBytes };
}
