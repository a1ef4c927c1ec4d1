import { join } from 'node:path';
import { buildImage, hasImage, saveImage } from './buildah.ts';
import { ensureGoPrograms } from './go-programs.ts';
import { repositoryRoot } from './paths.ts';
import type { Progress } from './progress.ts';

/** What holds a pod's namespaces. */
export const PAUSE_IMAGE = 'fairlead.local/pause:dev';

/** @returns the image as an archive. */
export async function ensurePauseImage(progress: Progress): Promise<string> {
  if (!(await hasImage(PAUSE_IMAGE))) {
    const programs = await ensureGoPrograms(
      {
        title: 'pause program',
        moduleDirectory: join(repositoryRoot, 'e2e/cluster/pause'),
        sources: ['go.mod', 'main.go'],
        packages: ['.'],
        ldflags: '-s -w',
        firstBuild: 'a few seconds',
      },
      progress,
    );
    await buildImage({
      image: PAUSE_IMAGE,
      context: programs,
      containerfile: 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n',
    });
  }
  return saveImage(PAUSE_IMAGE);
}
