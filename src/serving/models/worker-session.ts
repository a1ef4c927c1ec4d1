import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { InferenceError } from '../inference-error.ts';
import type { RowEvidence, SessionLike } from '../session.ts';
import { ownCopy, type Tensor, type TensorSpec } from '../tensor.ts';
import { LoadFailure } from './failure.ts';
import type { SessionOptions } from './onnx-session.ts';
import { buffersOf, type WorkerReply, type WorkerRequest } from './worker-messages.ts';

/** A session in a thread of its own, so that long runs leave the event loop free. */
export class WorkerSession implements SessionLike {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly provider: string;
  readonly rowEvidence: RowEvidence;
  readonly #worker: Worker;
  readonly #pending = new Map<number, PromiseWithResolvers<readonly Tensor[]>>();
  #nextId = 0;
  #ended: Error | undefined;

  private constructor(worker: Worker, opened: Extract<WorkerReply, { type: 'opened' }>) {
    this.#worker = worker;
    this.inputs = opened.inputs;
    this.outputs = opened.outputs;
    this.provider = opened.provider;
    this.rowEvidence = opened.rowEvidence;
    worker.on('message', (reply: WorkerReply) => this.#receive(reply));
    worker.on('error', (error) => {
      this.#end(new Error(`The inference thread failed: ${String(error)}`, { cause: error }));
      // A server whose engine is gone must not stay ready: end the process, and let the kubelet start it again.
      queueMicrotask(() => {
        throw error;
      });
    });
    worker.on('exit', (code) => this.#end(new Error(`The inference thread ended (code ${code})`)));
  }

  /** @throws LoadFailure as `OnnxSession` does. */
  static async open(options: SessionOptions): Promise<WorkerSession> {
    // The worker's program lies beside this one, in the language that this one is in.
    const program = new URL(`./session-worker${extname(import.meta.url)}`, import.meta.url);
    const worker = new Worker(program, { workerData: options });
    const opened = await new Promise<Extract<WorkerReply, { type: 'opened' }>>((resolve, reject) => {
      worker.once('message', (reply: WorkerReply) => {
        if (reply.type === 'opened') resolve(reply);
        else
          reject(
            reply.type === 'refused' ? errorOf(reply) : new Error(`Unexpected ${reply.type} from the inference thread`),
          );
      });
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new LoadFailure('LoadFailed', `The inference thread ended (code ${code})`)));
    }).catch(async (error: unknown) => {
      await worker.terminate();
      throw error;
    });
    return new WorkerSession(worker, opened);
  }

  run(inputs: readonly Tensor[], outputNames: readonly string[]): Promise<readonly Tensor[]> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    // The caller keeps its tensors, so what travels is a copy.
    const request: WorkerRequest = { id, inputs: inputs.map(ownCopy), outputNames };
    const pending = Promise.withResolvers<readonly Tensor[]>();
    this.#pending.set(id, pending);
    this.#worker.postMessage(request, buffersOf(request.inputs));
    return pending.promise;
  }

  async close(): Promise<void> {
    // A thread that is ended amid a native call takes the process with it when the call returns.
    await Promise.allSettled([...this.#pending.values()].map(({ promise }) => promise));
    await this.#worker.terminate();
  }

  #receive(reply: WorkerReply): void {
    if (reply.type !== 'ran' && reply.type !== 'failed') return;
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.type === 'ran') pending?.resolve(reply.outputs);
    else pending?.reject(errorOf(reply));
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#pending.values()) reject(this.#ended);
    this.#pending.clear();
  }
}

function errorOf({ message, reason, code }: Extract<WorkerReply, { type: 'failed' | 'refused' }>): Error {
  if (code !== undefined) return new InferenceError(code, message);
  return reason === undefined ? new Error(message) : new LoadFailure(reason, message);
}
