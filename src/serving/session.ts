import type { Tensor, TensorSpec } from './tensor.ts';

/** The narrow edge to an inference engine: everything that serves knows an engine only as this. */
export interface SessionLike {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** The execution provider that is really active, such as `cpu` or `cuda`. */
  readonly provider: string;
  /** Why rows of one run may change one another, as the model's graph tells; undefined when it does not tell so. */
  readonly rowMixing: string | undefined;
  /**
   * Runs the model once. `inputs` hold every input of the model with a matching datatype and shape (the caller has
   * checked); the result holds the outputs named in `outputNames`, in that order, with row-major data that the caller
   * may keep. Rejects with the engine's message when the engine refuses.
   */
  run(inputs: readonly Tensor[], outputNames: readonly string[]): Promise<readonly Tensor[]>;
  /** Frees the engine's memory; no `run` may be in flight or follow. */
  close(): Promise<void>;
}
