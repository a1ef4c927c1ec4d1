import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadKubeConfig } from '../../runtime/kube-config.ts';

/** A write at which a process is cut off: it never reaches the API server, or it is carried out and never answered. */
export interface CutOff {
  /** Writes that pass before it. */
  readonly afterWrites: number;
  readonly isCarriedOut: boolean;
}

/** Stands between one process and the API server, counts its writes (Events left out), and can hold one up for good. */
export class ApiGateway {
  readonly kubeconfigPath: string;
  readonly #server: Server;
  readonly #agent: Agent;
  readonly #origin: URL;
  readonly #headers: Readonly<Record<string, string>>;
  #writes = 0;
  #isAway = false;
  #cutOff: (CutOff & { readonly reached: () => void }) | undefined;

  private constructor(server: Server, agent: Agent, origin: URL, headers: Record<string, string>, path: string) {
    this.#server = server;
    this.#agent = agent;
    this.#origin = origin;
    this.#headers = headers;
    this.kubeconfigPath = path;
  }

  static async to(kubeconfig: string): Promise<ApiGateway> {
    const config = loadKubeConfig({ kubeconfig });
    const tls: Parameters<typeof config.applyToHTTPSOptions>[0] = { headers: {} };
    await config.applyToHTTPSOptions(tls);
    const { ca, cert, key } = tls as { ca?: Buffer; cert?: Buffer; key?: Buffer };
    const agent = new Agent({ keepAlive: true, ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
    const origin = new URL(config.getCurrentCluster()?.server ?? '');
    const path = join(await mkdtemp(join(tmpdir(), 'fairlead-gateway-')), 'kubeconfig');
    const server = createServer();
    const gateway = new ApiGateway(server, agent, origin, tls.headers as Record<string, string>, path);
    server.on('request', (incoming, outgoing) => gateway.#pass(incoming, outgoing));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await writeFile(path, JSON.stringify(kubeconfigOf(`http://127.0.0.1:${port}`)));
    return gateway;
  }

  /** Writes that were let through to the API server since a process was last cut off. */
  get writes(): number {
    return this.#writes;
  }

  /** Counts from 0 again. Resolves when the write has come and is held up; the process waits for an answer then. */
  cutOff(at: CutOff): Promise<void> {
    this.#writes = 0;
    return new Promise((resolve) => {
      this.#cutOff = { ...at, reached: resolve };
    });
  }

  /** Lets every write pass from now on, and counts them from 0. */
  open(): void {
    this.#writes = 0;
    this.#cutOff = undefined;
  }

  /** The API server cannot be reached: what is under way breaks off, and nothing new gets through. */
  away(): void {
    this.#isAway = true;
    this.#server.closeAllConnections();
  }

  back(): void {
    this.#isAway = false;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(join(this.kubeconfigPath, '..'), { recursive: true });
  }

  #pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    if (this.#isAway) {
      incoming.socket.destroy();
      return;
    }
    const { method = 'GET', url: path = '/' } = incoming;
    const isWrite = method !== 'GET' && !path.includes('/events');
    const at = this.#cutOff;
    const isCutOff = isWrite && at !== undefined && this.#writes >= at.afterWrites;
    if (isCutOff && !at.isCarriedOut) {
      at.reached();
      return;
    }
    // All writes that come after the one that is held up are lost.
    if (isCutOff && this.#writes > at.afterWrites) return;
    if (isWrite) this.#writes += 1;
    const { host: _host, ...headers } = incoming.headers;
    const { hostname, port } = this.#origin;
    const options = { agent: this.#agent, hostname, port, method, path, headers: { ...headers, ...this.#headers } };
    const forwarded = request(options, (response) => {
      if (isCutOff) {
        response.resume();
        at.reached();
        return;
      }
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    // A client that is killed leaves its watches behind.
    outgoing.on('close', () => forwarded.destroy());
    incoming.pipe(forwarded);
  }
}

function kubeconfigOf(server: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    // Without TLS on this host, which the client only accepts when told so.
    clusters: [{ name: 'gateway', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'gateway', user: {} }],
    contexts: [{ name: 'gateway', context: { cluster: 'gateway', user: 'gateway' } }],
    'current-context': 'gateway',
  };
}
