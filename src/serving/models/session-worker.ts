import { parentPort, workerData } from 'node:worker_threads';
import { InferenceError } from '../inference-error.ts';
import { LoadFailure } from './failure.ts';
import { OnnxSession, type SessionOptions } from './onnx-session.ts';
import { buffersOf, type WorkerReply, type WorkerRequest } from './worker-messages.ts';

/** The program of a worker thread: one session, runs in the order they come. */
const port = parentPort;
if (port === null) throw new Error('session-worker.ts runs in a worker thread only');
const reply = (message: WorkerReply, transfer: readonly ArrayBuffer[] = []) => port.postMessage(message, transfer);

try {
  const session = new OnnxSession(workerData as SessionOptions);
  const { inputs, outputs, provider, rowEvidence } = session;
  reply({ type: 'opened', inputs, outputs, provider, rowEvidence });
  port.on('message', ({ id, inputs, outputNames }: WorkerRequest) => {
    try {
      const outputs = session.runNow(inputs, outputNames);
      reply({ type: 'ran', id, outputs }, buffersOf(outputs));
    } catch (error) {
      reply({ type: 'failed', id, ...described(error) });
    }
  });
} catch (error) {
  reply({ type: 'refused', ...described(error) });
}

function described(error: unknown) {
  return {
    message: error instanceof Error ? error.message : String(error),
    reason: error instanceof LoadFailure ? error.reason : undefined,
    code: error instanceof InferenceError ? error.code : undefined,
  };
}
