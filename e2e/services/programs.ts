import { join } from 'node:path';
import { ensureGoPrograms } from '../cluster/go-programs.ts';
import { repositoryRoot } from '../cluster/paths.ts';
import { reportToTerminal } from '../cluster/progress.ts';

/** The path of a program of this module, built from source when this machine does not have it yet. */
export async function serviceProgram(name: 'registry' | 'versitygw'): Promise<string> {
  const directory = await ensureGoPrograms(
    {
      title: 'test services (an OCI registry, an S3 server)',
      moduleDirectory: join(repositoryRoot, 'e2e/services'),
      sources: ['go.mod', 'go.sum'],
      packages: ['tool'],
      ldflags: '-s -w',
      firstBuild: 'about 3 minutes',
    },
    reportToTerminal,
  );
  return join(directory, name);
}
