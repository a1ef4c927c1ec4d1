import { InferenceSession, Tensor } from 'onnxruntime-node';

/**
 * The engine alone: rows a second of onnxruntime-node's public API in a loop, without a server. Prints the number.
 * `raw-engine.ts MODEL COLUMNS ROWS_A_RUN`.
 */
const [path = '', columns = '', rows = ''] = process.argv.slice(2);
const session = await InferenceSession.create(path, {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 3,
});
const shape = [Number(rows), Number(columns)];
const data = Float32Array.from({ length: Number(rows) * Number(columns) }, (_, index) => (index * 1.37) % 10);
const [input = ''] = session.inputNames;

async function rowsPerSecond(durationMs: number): Promise<number> {
  const startedAtMs = performance.now();
  let runs = 0;
  while (performance.now() - startedAtMs < durationMs) {
    await session.run({ [input]: new Tensor('float32', data, shape) });
    runs++;
  }
  return (runs * Number(rows) * 1000) / (performance.now() - startedAtMs);
}

await rowsPerSecond(500);
console.log(await rowsPerSecond(1500));
