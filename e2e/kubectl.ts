import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** The fields that tests and the demo read of any object; the rest is read as plain data. */
export interface ClusterObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  // biome-ignore lint/suspicious/noExplicitAny: objects of any kind, read by tests as a person reads YAML
  readonly [field: string]: any;
}

export interface KubectlOptions {
  readonly binary: string;
  readonly kubeconfigPath: string;
  readonly context?: string | undefined;
}

/** kubectl failed; the message is what kubectl printed. */
export class KubectlError extends Error {
  override readonly name = 'KubectlError';
}

/** What a person does with kubectl, on one cluster. */
export class Kubectl {
  readonly #options: KubectlOptions;

  constructor(options: KubectlOptions) {
    this.#options = options;
  }

  #args(args: readonly string[]): string[] {
    const { kubeconfigPath, context } = this.#options;
    return ['--kubeconfig', kubeconfigPath, ...(context === undefined ? [] : ['--context', context]), ...args];
  }

  /** Runs kubectl and returns its stdout. Throws `KubectlError` with its stderr when it fails. */
  run(args: readonly string[], input?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = execFile(
        this.#options.binary,
        this.#args(args),
        { maxBuffer: 256 * 1024 * 1024 },
        (error, stdout, stderr) => {
          if (error === null) resolve(stdout);
          else reject(new KubectlError(`kubectl ${args.join(' ')}: ${stderr.trim() || error.message}`));
        },
      );
      // One that reads no input may have ended before it is given: what it says itself is the answer.
      child.stdin?.on('error', () => {});
      child.stdin?.end(input ?? '');
    });
  }

  async json<T = ClusterObject>(args: readonly string[]): Promise<T> {
    return JSON.parse(await this.run([...args, '-o', 'json'])) as T;
  }

  get(resource: string, namespace: string, name: string): Promise<ClusterObject> {
    return this.json(['get', resource, name, '-n', namespace]);
  }

  async list(resource: string, namespace: string, selector = ''): Promise<ClusterObject[]> {
    const args = ['get', resource, '-n', namespace, ...(selector === '' ? [] : ['-l', selector])];
    return (await this.json<{ items: ClusterObject[] }>(args)).items;
  }

  /** Applies objects as a user does, by server-side apply. */
  apply(...objects: object[]): Promise<string> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    return this.run(['apply', '--server-side', '--force-conflicts', '-f', '-'], JSON.stringify(list));
  }

  patch(resource: string, namespace: string, name: string, patch: object): Promise<string> {
    return this.run(['patch', resource, name, '-n', namespace, '--type=merge', '-p', JSON.stringify(patch)]);
  }

  delete(resource: string, namespace: string, name: string): Promise<string> {
    return this.run(['delete', resource, name, '-n', namespace, '--ignore-not-found', '--timeout=120s']);
  }

  /**
   * Watches one object until `predicate` holds for it and returns it; `undefined` stands for an object that is gone.
   * Throws with the object's last state when `timeoutMs` passes first.
   */
  async until(
    path: string,
    name: string,
    predicate: (object: ClusterObject | undefined) => boolean,
    timeoutMs: number,
  ): Promise<ClusterObject | undefined> {
    const deadline = AbortSignal.timeout(timeoutMs);
    let last: ClusterObject | undefined;
    while (!deadline.aborted) {
      const query = `fieldSelector=metadata.name%3D${name}`;
      const list = JSON.parse(await this.run(['get', '--raw', `${path}?${query}`])) as {
        metadata: { resourceVersion: string };
        items: ClusterObject[];
      };
      last = list.items[0];
      if (predicate(last)) return last;
      const watch = `${path}?${query}&watch=true&timeoutSeconds=60&resourceVersion=${list.metadata.resourceVersion}`;
      for await (const event of this.#events(watch, deadline)) {
        if (event.type === 'ERROR') break;
        last = event.type === 'DELETED' ? undefined : event.object;
        if (predicate(last)) return last;
      }
    }
    // A report shows little of a message: what the object says of itself is worth more than who wrote which field.
    const seen = JSON.stringify(last?.status ?? last);
    throw new Error(`${path}/${name}: not as expected after ${timeoutMs} ms; last seen: ${seen}`);
  }

  async *#events(path: string, signal: AbortSignal): AsyncGenerator<{ type: string; object: ClusterObject }> {
    const child = spawn(this.#options.binary, this.#args(['get', '--raw', path]), {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const stop = () => child.kill();
    signal.addEventListener('abort', stop, { once: true });
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        if (line !== '') yield JSON.parse(line) as { type: string; object: ClusterObject };
      }
    } finally {
      signal.removeEventListener('abort', stop);
      child.kill();
    }
  }

  /** Forwards a free local port to a Service's or pod's port for as long as the returned handle is kept open. */
  portForward(target: string, namespace: string, port: number): Promise<PortForward> {
    const child = spawn(this.#options.binary, this.#args(['port-forward', '-n', namespace, target, `:${port}`]), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Promise((resolve, reject) => {
      let errors = '';
      child.stderr.on('data', (chunk: Buffer) => {
        errors += chunk.toString();
      });
      child.once('exit', () => reject(new KubectlError(`port-forward to ${target} ended: ${errors.trim()}`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const found = /^Forwarding from 127\.0\.0\.1:(\d+)/.exec(line);
        if (found?.[1] !== undefined) resolve({ port: Number(found[1]), close: () => child.kill() });
      });
    });
  }
}

export interface PortForward {
  readonly port: number;
  close(): void;
}

/** The condition of that type in an object's status, or undefined. */
export function condition(
  object: ClusterObject | undefined,
  type: string,
): { status: string; reason: string; message: string; observedGeneration?: number } | undefined {
  return object?.status?.conditions?.find((each: { type: string }) => each.type === type);
}
