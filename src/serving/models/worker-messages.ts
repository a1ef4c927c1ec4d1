import type { LoadFailureReason } from '../../api/serving-config.ts';
import type { InferenceErrorCode } from '../inference-error.ts';
import type { RowEvidence } from '../session.ts';
import type { Tensor, TensorSpec } from '../tensor.ts';

export interface WorkerRequest {
  readonly id: number;
  readonly inputs: readonly Tensor[];
  readonly outputNames: readonly string[];
}

interface Failure {
  readonly message: string;
  /** Set when the failure is a `LoadFailure`. */
  readonly reason: LoadFailureReason | undefined;
  /** Set when the failure is an `InferenceError`. */
  readonly code: InferenceErrorCode | undefined;
}

export type WorkerReply =
  | {
      readonly type: 'opened';
      readonly inputs: readonly TensorSpec[];
      readonly outputs: readonly TensorSpec[];
      readonly provider: string;
      readonly rowEvidence: RowEvidence;
    }
  | ({ readonly type: 'refused' } & Failure)
  | { readonly type: 'ran'; readonly id: number; readonly outputs: readonly Tensor[] }
  | ({ readonly type: 'failed'; readonly id: number } & Failure);

/** The memory of tensors that may be handed to another thread; byte strings are copied instead. */
export function buffersOf(tensors: readonly Tensor[]): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of tensors) {
    if (ArrayBuffer.isView(data) && data.buffer instanceof ArrayBuffer) buffers.add(data.buffer);
  }
  return [...buffers];
}
