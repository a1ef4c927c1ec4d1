import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serviceProgram } from './programs.ts';
import { type RunningService, type ServiceOptions, startService } from './service.ts';

export interface OciRegistry extends RunningService {
  /** What an authenticated registry asks for. */
  readonly credentials: { readonly username: string; readonly password: string };
}

export interface OciRegistryOptions extends ServiceOptions {
  /** Refuse, by HTTP Basic, who does not show the credentials. */
  readonly authenticated?: boolean;
}

const CREDENTIALS = { username: 'fairlead', password: 'fairlead-registry-test' };
/** The same user and password, by bcrypt. */
const HTPASSWD = 'fairlead:$2b$05$0123456789abcdefghijkuFn4aKw5nl/d5eCgcn5CSKBq7tPbJ/06';

/** A real OCI registry (the reference implementation, distribution) over plain HTTP, empty at the start. */
export async function startOciRegistry({
  authenticated = false,
  ...options
}: OciRegistryOptions = {}): Promise<OciRegistry> {
  const program = await serviceProgram('registry');
  const service = await startService('registry', program, options, async (directory, address) => {
    const htpasswd = join(directory, 'htpasswd');
    await writeFile(htpasswd, `${HTPASSWD}\n`);
    const configuration = join(directory, 'config.json');
    await writeFile(
      configuration,
      JSON.stringify({
        version: '0.1',
        log: { level: 'warn', accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
        http: { addr: address },
        ...(authenticated ? { auth: { htpasswd: { realm: 'fairlead', path: htpasswd } } } : {}),
      }),
    );
    return ['serve', configuration];
  });
  return { ...service, credentials: CREDENTIALS };
}
