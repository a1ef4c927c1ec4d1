import { LoadFailure } from './failure.ts';

/** Takes exact numbers of bytes from a stream of chunks. */
export class ChunkReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #shown: string;
  #rest: Uint8Array = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Uint8Array>, shown: string) {
    this.#chunks = stream[Symbol.asyncIterator]();
    this.#shown = shown;
  }

  /** @throws LoadFailure `InvalidModel` when the stream ends before. */
  async exactly(sizeBytes: number): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.content(sizeBytes)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** As `exactly`, or undefined where the stream has ended already. */
  async exactlyOrEnd(sizeBytes: number): Promise<Buffer | undefined> {
    while (this.#rest.byteLength === 0) if (!(await this.#more())) return undefined;
    return this.exactly(sizeBytes);
  }

  async *content(sizeBytes: number): AsyncGenerator<Uint8Array> {
    for (let leftBytes = sizeBytes; leftBytes > 0; ) {
      const chunk = await this.#atMost(leftBytes);
      leftBytes -= chunk.byteLength;
      yield chunk;
    }
  }

  async skip(sizeBytes: number): Promise<void> {
    for await (const _ of this.content(sizeBytes));
  }

  /** Reads to the end, so that the stream's own checks are made. */
  async drain(): Promise<void> {
    while (await this.#more());
  }

  async #atMost(sizeBytes: number): Promise<Uint8Array> {
    while (this.#rest.byteLength === 0) {
      if (!(await this.#more())) throw new LoadFailure('InvalidModel', `${this.#shown}: the archive is truncated`);
    }
    const chunk = this.#rest.subarray(0, sizeBytes);
    this.#rest = this.#rest.subarray(chunk.byteLength);
    return chunk;
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    this.#rest = next.done ? Buffer.alloc(0) : next.value;
    return next.done !== true;
  }
}
