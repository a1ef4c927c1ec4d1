/**
 * What the server tells probes. `loading`: alive, not ready. `ready`: send requests. `draining`: told to stop, still
 * answering while endpoints follow. `closing`: connections are asked to go elsewhere.
 */
export type Phase = 'loading' | 'ready' | 'draining' | 'closing';

/** The server's phase, read by every front end. */
export class Readiness {
  phase: Phase = 'loading';

  get isReady(): boolean {
    return this.phase === 'ready';
  }
}
