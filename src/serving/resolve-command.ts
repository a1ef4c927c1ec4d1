import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { environment } from '../options.ts';
import { createLogger } from '../telemetry/logger.ts';
import { resolveModel } from './models/resolve-model.ts';
import { terminationMessage } from './termination-message.ts';

interface ResolveFlags {
  readonly uri: string;
  readonly endpoint?: string;
  readonly sha256?: string;
  readonly output?: string;
  readonly pvcRoot: string;
  readonly terminationLog: string;
}

/** `fairlead resolve`: its result is the last line of stdout, and the container's termination message. */
export const command = new Command('resolve')
  .description('Read a model once and print its digest and size as JSON; nothing is kept without --output')
  .requiredOption('--uri <uri>', 'the model: file://, pvc://, http(s)://, s3://, oci:// or mlflow-artifacts:///')
  .option('--endpoint <url>', 'endpoint of an S3-compatible store, a registry or a tracking server')
  .option('--sha256 <digest>', 'fail with DigestMismatch unless the model has this digest')
  .option('--output <path>', 'keep the model there: a file, or for a directory a directory')
  .option('--pvc-root <path>', 'where claims are mounted', '/mnt/pvc')
  .option('--termination-log <path>', 'also write the result there', environment.terminationLogPath)
  .action(resolve);

async function resolve({ uri, endpoint, sha256, output, pvcRoot, terminationLog }: ResolveFlags): Promise<void> {
  const logger = createLogger('warn', { role: 'resolve' });
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort(new Error('Stopped by SIGTERM')));
  process.once('SIGINT', () => stop.abort(new Error('Stopped by SIGINT')));
  const credentials = environment.modelCredentials;
  const answer = await resolveModel({
    uri,
    endpoint,
    expected: sha256,
    output,
    pvcRoot,
    credentials,
    logger,
    signal: stop.signal,
  }).then(
    (result) => JSON.stringify(result),
    (error: unknown) => {
      process.exitCode = 1;
      return terminationMessage(error).json;
    },
  );
  const line = `${answer}\n`;
  process.stdout.write(line);
  // The kubelet makes the default file; outside a pod it is not ours to make.
  const flag = terminationLog === environment.terminationLogPath ? 'r+' : 'w';
  await writeFile(terminationLog, line, { flag }).catch((error: unknown) => {
    logger.debug('No termination log was written', { terminationLog, error: String(error) });
  });
}
