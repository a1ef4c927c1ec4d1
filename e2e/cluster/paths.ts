import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout this file belongs to. */
export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

/** What may be deleted at any time and is only slow to make again: built programs, root file systems. */
export const cacheRoot = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'fairlead');

/** What a running cluster consists of: keys, pid files, logs, etcd's data, containerd's images. */
export const stateRoot = join(process.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state'), 'fairlead', 'cluster');
