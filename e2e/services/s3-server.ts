import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { serviceProgram } from './programs.ts';
import { type RunningService, type ServiceOptions, startService } from './service.ts';

export interface S3Server extends RunningService {
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Of a server that only this machine reaches and that lives as long as a test. */
const CREDENTIALS = { accessKeyId: 'fairlead-test', secretAccessKey: 'fairlead-test-secret' };
const REGION = 'us-east-1';

export interface S3Options extends ServiceOptions {
  /** Buckets that are to exist. */
  readonly buckets?: readonly string[];
}

/** A real S3 server (versitygw) on an empty directory; address buckets by path. */
export async function startS3Server({ buckets = [], ...options }: S3Options = {}): Promise<S3Server> {
  const program = await serviceProgram('versitygw');
  const service = await startService('s3', program, options, async (directory, address) => {
    const data = join(directory, 'data');
    const metadata = join(directory, 'metadata');
    await mkdir(metadata);
    for (const bucket of ['', ...buckets]) await mkdir(join(data, bucket), { recursive: true });
    const { accessKeyId, secretAccessKey } = CREDENTIALS;
    const server = ['--port', address, '--access', accessKeyId, '--secret', secretAccessKey, '--region', REGION];
    // Metadata in files: not every file system of /tmp keeps extended attributes.
    return [...server, '--quiet', 'posix', '--sidecar', metadata, data];
  });
  return { ...service, region: REGION, credentials: CREDENTIALS };
}
