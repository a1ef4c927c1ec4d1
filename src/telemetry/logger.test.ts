import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';

test('a reader of the log that goes away ends the log, not the process', async () => {
  const module = new URL('./logger.ts', import.meta.url).href;
  const program = `
    const { createLogger } = await import(${JSON.stringify(module)});
    const logger = createLogger('info');
    process.stdout.once('close', () => {
      logger.info('nobody reads this');
      setImmediate(() => process.exit(7));
    });
    const goOn = () => { logger.info('line'); setImmediate(goOn); };
    goOn();`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  child.stdout.destroy();
  expect((await once(child, 'exit'))[0]).toBe(7);
});
