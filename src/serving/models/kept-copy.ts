import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { DiskSink, freeBytesOf } from './disk-sink.ts';
import type { ModelSink } from './model-digest.ts';
import type { ModelContent } from './source.ts';

/** A copy of a model that is being written beside the place where it is to be, so that only a whole one is found there. */
export interface KeptCopy {
  readonly sink: ModelSink;
  /** Puts it in its place; to be called once its digest is right. */
  keep(): Promise<void>;
  discard(): Promise<void>;
}

/** @param output the file, or for a directory the directory, that the copy is to be */
export async function startCopy(content: ModelContent, output: string, shown: string): Promise<KeptCopy> {
  const incoming = `${output}.incoming`;
  // What a container that was killed left behind is no use.
  await rm(incoming, { recursive: true, force: true });
  await mkdir(incoming, { recursive: true });
  await mkdir(dirname(output), { recursive: true });
  const disk = new DiskSink(incoming, 'directory', shown, freeBytesOf);
  const isFile = content.layout === 'file';
  const name = basename(output);
  return {
    sink: isFile ? { open: (entry) => disk.open({ ...entry, path: name }) } : disk,
    async keep() {
      await rm(output, { recursive: true, force: true });
      await rename(isFile ? `${incoming}/${name}` : incoming, output);
      await rm(incoming, { recursive: true, force: true });
    },
    discard: () => rm(incoming, { recursive: true, force: true }),
  };
}
