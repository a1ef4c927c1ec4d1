import type { Tensor, TensorSpec } from './tensor.ts';

/**
 * What a model's graph tells of whether the rows of one run may change one another. `unproven` leaves it open, and
 * `takesMeasures` says whether its integers may have any value: others may be indices or lengths, beyond whose range
 * some of an engine's operators read foreign memory.
 */
export type RowEvidence =
  | { readonly verdict: 'independent' }
  | { readonly verdict: 'unproven'; readonly why: string; readonly takesMeasures: boolean }
  | { readonly verdict: 'mixed'; readonly why: string };

/** The narrow edge to an inference engine: everything that serves knows an engine only as this. */
export interface SessionLike {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** The execution provider that is really active, such as `cpu` or `cuda`. */
  readonly provider: string;
  readonly rowEvidence: RowEvidence;
  /**
   * Runs the model once. `inputs` hold every input of the model with a matching datatype and shape (the caller has
   * checked); the result holds the outputs named in `outputNames`, in that order, with row-major data that the caller
   * may keep. Rejects with the engine's message when the engine refuses.
   */
  run(inputs: readonly Tensor[], outputNames: readonly string[]): Promise<readonly Tensor[]>;
  /** Frees the engine's memory once the runs in flight have ended, however long they take; none may follow. */
  close(): Promise<void>;
}
