import type { Writable } from 'node:stream';

/**
 * Writes text to a stream such as stdout; the result resolves when the text has left, and rejects when it cannot.
 * A pipe that is full makes its writer wait here and not the event loop: stdout's is non-blocking, so that writing to
 * its descriptor past the stream would fail in the middle of a line. A reader that has gone away ends the log, never
 * the process.
 */
export function textSink(stream: Writable): (text: string) => Promise<void> {
  stream.on('error', () => undefined);
  return (text) =>
    new Promise((resolve, reject) => {
      stream.write(text, (error) => (error ? reject(error) : resolve()));
    });
}
