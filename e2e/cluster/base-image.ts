import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buildImage, hasImage } from './buildah.ts';
import { command } from './command.ts';
import { cacheRoot } from './paths.ts';
import type { Progress } from './progress.ts';

/** What Node and onnxruntime need of a system, and no shell. */
const RUNTIME_PACKAGES = ['base-files', 'ca-certificates', 'libc6', 'libgcc-s1', 'libstdc++6'];
/** With a shell and what a Dockerfile's RUN steps call. */
const BUILD_PACKAGES = [...RUNTIME_PACKAGES, 'coreutils', 'dash'];

/** Stands in, where no registry is reached, for the public images that the Dockerfile names. */
export async function ensureBaseImages(progress: Progress): Promise<{ runtime: string; build: string }> {
  return {
    runtime: await debian('runtime', RUNTIME_PACKAGES, progress),
    build: await debian('build', BUILD_PACKAGES, progress),
  };
}

async function debian(name: string, packages: readonly string[], progress: Progress): Promise<string> {
  const tag = createHash('sha256').update(packages.join()).digest('hex').slice(0, 12);
  const image = `fairlead.local/debian-${name}:${tag}`;
  if (await hasImage(image)) return image;
  progress(`making a Debian base image for ${name} from packages (some 10 s)`);
  const context = join(cacheRoot, 'rootfs', `${name}-${tag}`);
  await mkdir(context, { recursive: true });
  const archive = join(context, 'rootfs.tar');
  await command(
    'mmdebstrap',
    ['--quiet', '--variant=extract', `--include=${packages.join()}`, 'bookworm', archive],
    // The same packages give the same archive.
    { env: { SOURCE_DATE_EPOCH: '0' } },
  );
  await buildImage({ image, context, containerfile: 'FROM scratch\nADD rootfs.tar /\n' });
  await rm(context, { recursive: true, force: true });
  return image;
}
