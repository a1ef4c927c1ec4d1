/** What of a request is kept until its answer begins, so that another pod can be asked. */
const MAX_REPLAY_BYTES = 256 * 2 ** 10;
/** Pieces of that size are kept as they came, smaller ones are put together: each costs a hundred bytes of its own. */
const WHOLE_PIECE_BYTES = 2 ** 10;

/** The bytes of a request so far, piece by piece. */
export class KeptRequest {
  readonly pieces: Buffer[] = [];
  #bytes = 0;

  get isFull(): boolean {
    return this.#bytes > MAX_REPLAY_BYTES;
  }

  append(chunk: Buffer): void {
    this.#bytes += chunk.length;
    const last = this.pieces.at(-1);
    if (last === undefined || last.length >= WHOLE_PIECE_BYTES) this.pieces.push(chunk);
    else this.pieces[this.pieces.length - 1] = Buffer.concat([last, chunk]);
  }
}
