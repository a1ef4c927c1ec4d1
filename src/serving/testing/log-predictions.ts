import { createLogger } from '../../telemetry/logger.ts';
import { PredictionLog } from '../prediction-log.ts';
import { textSink } from '../text-sink.ts';
import { rowsOfTwo } from './fake-session.ts';

/** Logs as many predictions as its argument says to stdout, beside the server's own log, and tells stderr when. */
createLogger('error', { role: 'server' });
const log = new PredictionLog({
  samplingRate: 1,
  write: textSink(process.stdout),
  random: Math.random,
  now: () => new Date(),
  onDropped: (records) => process.stderr.write(`${records} dropped\n`),
});
const tensor = rowsOfTwo(50);
for (let id = 0; id < Number(process.argv[2]); id++) {
  log.record({ model: 'm', version: '1', id: String(id), inputs: [tensor], outputs: [tensor], latencyMs: 1 });
}
setImmediate(() => process.stderr.write('all are recorded\n'));
await log.flush();
