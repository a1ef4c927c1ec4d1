import { EventEmitter } from 'node:events';
import { expect, test, vi } from 'vitest';
import { whenReaderStops } from './closed-output.ts';

test('a reader that stops ends what is written to it, and other errors are errors', () => {
  const [output, stop] = [new EventEmitter(), vi.fn()];
  whenReaderStops(output, stop);
  output.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  expect(stop).toHaveBeenCalledOnce();
  expect(() => output.emit('error', Object.assign(new Error('full'), { code: 'ENOSPC' }))).toThrow('full');
});
