import type { EventEmitter } from 'node:events';

/** Whoever reads the output may stop, as `head` does: then there is nothing left to do, and nothing to complain about. */
export function whenReaderStops(output: Pick<EventEmitter, 'on'>, stop: () => void): void {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    stop();
  });
}
