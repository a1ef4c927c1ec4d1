import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import type { PortListener } from '../route-table.ts';
import type { RequestRouter } from '../types.ts';

/** A front that tells every connection which revision a request without any header would go to, and why none. */
export class RevealingListener implements PortListener {
  readonly #server: Server;

  constructor(router: RequestRouter) {
    this.#server = createServer((socket) => {
      const choice = router.choose({ get: () => undefined });
      socket.end('reason' in choice ? choice.reason : choice.target.revision);
    });
  }

  async listen(host: string, port: number): Promise<number> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  kill(): void {
    this.#server.close();
  }
}

/** What a `RevealingListener` on this port says; `refused` when nobody listens. */
export async function revealed(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  try {
    let text = '';
    for await (const chunk of socket.setEncoding('utf8')) text += chunk;
    return text;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') return 'refused';
    throw error;
  }
}
