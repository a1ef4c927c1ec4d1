/** The part of a stream that is used. */
export interface ScreenLike {
  readonly isTTY?: boolean;
  readonly rows?: number;
  write(text: string): unknown;
}

/** Shows one text in the place of the one before in a terminal; elsewhere one after the other, if they differ. */
export class Screen {
  readonly #stream: ScreenLike;
  #shownLines = 0;
  #last: string | undefined;

  constructor(stream: ScreenLike) {
    this.#stream = stream;
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true;
  }

  show(text: string): void {
    if (text === this.#last) return;
    const isFirst = this.#last === undefined;
    this.#last = text;
    if (!this.isTerminal) {
      this.#stream.write(isFirst ? `${text}\n` : `\n${text}\n`);
      return;
    }
    // What has left the screen at its top cannot be written over.
    const lines = text.split('\n').slice(0, Math.max(1, (this.#stream.rows ?? 1000) - 1));
    const back = this.#shownLines === 0 ? '' : `\u001b[${this.#shownLines}A\u001b[0J`;
    this.#shownLines = lines.length;
    this.#stream.write(`${back}${lines.join('\n')}\n`);
  }
}
