import { join } from 'node:path';
import { buildImage } from './buildah.ts';
import { ensureGoPrograms } from './go-programs.ts';
import { repositoryRoot } from './paths.ts';
import type { Progress } from './progress.ts';

/** What holds a pod's namespaces. */
export const PAUSE_IMAGE = 'fairlead.local/pause:dev';

/** @returns the image as an archive. */
export async function buildPauseImage(progress: Progress): Promise<string> {
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
  return buildImage({
    image: PAUSE_IMAGE,
    context: programs,
    containerfile: 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n',
  });
}
