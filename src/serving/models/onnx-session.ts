import { binding, initOrt } from 'onnxruntime-node/dist/binding.js';
import type { RowEvidence, SessionLike } from '../session.ts';
import type { Tensor, TensorSpec } from '../tensor.ts';
import { engineLoadFailure, engineRunFailure } from './engine-failure.ts';
import { fromEngine, tensorSpec, toEngine } from './engine-tensor.ts';
import { type GpuProfile, startGpuProfile } from './gpu-profile.ts';
import { rowEvidence } from './row-evidence.ts';

export interface SessionOptions {
  /** The `.onnx` file; weights in files beside it are found from there. */
  readonly path: string;
  /** The file's content, to be used instead of reading it again. */
  readonly bytes?: Uint8Array;
  readonly device: 'cpu' | 'gpu';
  /** Threads that one operator may use. */
  readonly threads: number;
}

/**
 * A session of onnxruntime in this thread: `run` computes before it returns. It uses the package's native binding
 * directly, because the public API defers every run by a turn of the event loop (docs/decisions/0030).
 */
export class OnnxSession implements SessionLike {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly provider: string;
  readonly rowEvidence: RowEvidence;
  readonly #engine: InstanceType<typeof binding.InferenceSession>;
  #gpuProfile: GpuProfile | undefined;
  #refusal: unknown;

  /**
   * @throws LoadFailure `UnsupportedOpset`, `InvalidModel`, or `ProviderUnavailable` when a GPU is asked for and its
   * provider does not load.
   */
  constructor(options: SessionOptions) {
    initOrt();
    this.#gpuProfile = options.device === 'gpu' ? startGpuProfile() : undefined;
    this.provider = options.device === 'gpu' ? 'cuda' : 'cpu';
    this.#engine = new binding.InferenceSession();
    const settings = { ...engineSettings(options.threads), ...this.#gpuProfile?.settings };
    try {
      if (options.bytes === undefined) this.#engine.loadModel(options.path, settings);
      else {
        const { buffer, byteOffset, byteLength } = options.bytes;
        this.#engine.loadModel(buffer as ArrayBuffer, byteOffset, byteLength, settings);
      }
      this.inputs = this.#engine.inputMetadata.map((metadata) => tensorSpec('input', metadata));
      this.outputs = this.#engine.outputMetadata.map((metadata) => tensorSpec('output', metadata));
      this.rowEvidence = rowEvidence(options, this);
    } catch (error) {
      throw this.#gpuProfile?.loadFailure(error) ?? engineLoadFailure(error);
    }
  }

  async run(inputs: readonly Tensor[], outputNames: readonly string[]): Promise<readonly Tensor[]> {
    return this.runNow(inputs, outputNames);
  }

  /** As `run`, but returns the outputs themselves, and throws. */
  runNow(inputs: readonly Tensor[], outputNames: readonly string[]): Tensor[] {
    if (this.#refusal !== undefined) throw this.#refusal;
    // Without a prototype, so that a tensor may be named `__proto__` or `toString`.
    const feeds: Record<string, ReturnType<typeof toEngine>> = Object.create(null);
    for (const input of inputs) feeds[input.name] = toEngine(input);
    const fetches: Record<string, null> = Object.create(null);
    for (const name of outputNames) fetches[name] = null;
    const results = this.#compute(feeds, fetches);
    if (this.#gpuProfile !== undefined) this.#confirmGpu(this.#gpuProfile);
    return outputNames.map((name) => {
      const result = results[name];
      if (result === undefined || !('dims' in result)) throw new RangeError(`The model gave no tensor named ${name}`);
      return fromEngine(name, result);
    });
  }

  async close(): Promise<void> {
    this.#engine.dispose();
  }

  #compute(feeds: Record<string, ReturnType<typeof toEngine>>, fetches: Record<string, null>) {
    try {
      return this.#engine.run(feeds, fetches, {});
    } catch (error) {
      throw engineRunFailure(error);
    }
  }

  /** The first run tells which provider computed; a session that fell back to the CPU is refused before it serves. */
  #confirmGpu(profile: GpuProfile): void {
    this.#gpuProfile = undefined;
    this.#engine.endProfiling();
    try {
      profile.confirm();
    } catch (error) {
      this.#refusal = error;
      throw error;
    }
  }
}

/**
 * Without the arena memory goes back after a large batch, at no measured cost; patterns are planned per shape and never
 * forgotten; threads that spin between runs eat the CPU limit that requests need (docs/decisions/0030).
 */
function engineSettings(threads: number) {
  return {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    enableCpuMemArena: false,
    enableMemPattern: false,
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  } as const;
}
