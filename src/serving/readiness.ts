/**
 * What the server tells probes. `loading`: alive, not ready. `ready`: send requests. `draining`: told to stop, still
 * answering while endpoints follow. `closing`: connections are asked to go elsewhere.
 */
export type Phase = 'loading' | 'ready' | 'draining' | 'closing';

/**
 * After this part of the drain delay endpoints have usually followed, and every answer asks its client to connect anew:
 * the sooner, the fewer connections are left that are closed at the very moment at which a client sends on them.
 */
export const PART_BEFORE_CLOSING = 0.4;

/** The server's phase, read by every front end. */
export class Readiness {
  phase: Phase = 'loading';

  get isReady(): boolean {
    return this.phase === 'ready';
  }
}
