import { readPredictedOutputs } from '../../grpc/infer-message-reader.ts';
import { readContents } from '../../grpc/tensor-contents.ts';
import { InferenceError, invalid } from '../../inference-error.ts';
import { readBinaryData } from '../../protocol/binary-tensor.ts';
import { outputsAgree } from '../buffered/compare-answers.ts';
import { isDatatype, isShape, type Output, outputOf } from '../buffered/outputs.ts';
import { GRPC_STATUS, isServerFailure } from './grpc-status.ts';
import { onlyMessage } from './message-frames.ts';
import { MODEL_INFER } from './methods.ts';

/** A pod's whole answer: its messages with their prefixes, and the status of its trailers. */
export interface GrpcAnswer {
  readonly status: number;
  readonly body: Buffer;
}

const NO_CONTENTS = Buffer.alloc(0);

/**
 * Whether two answers to the same call say the same: the same status, and of ModelInfer the same outputs, whose numbers
 * differ by at most `tolerance`, absolute or relative to the larger one; of other methods the same bytes. Undefined where
 * one of them is no answer to compare: an error of the server, compressed, or unreadable.
 */
export function grpcAnswersAgree(
  path: string | undefined,
  one: GrpcAnswer,
  other: GrpcAnswer,
  tolerance: number,
): boolean | undefined {
  if (isServerFailure(one.status) || isServerFailure(other.status)) return undefined;
  if (one.status !== other.status) return false;
  // How a refusal is worded says nothing of the model.
  if (one.status !== GRPC_STATUS.ok) return true;
  if (path !== MODEL_INFER) return one.body.equals(other.body);
  try {
    const [mine, theirs] = [readOutputs(one.body), readOutputs(other.body)];
    return mine && theirs && outputsAgree(mine, theirs, tolerance);
  } catch (error) {
    if (error instanceof InferenceError) return undefined;
    throw error;
  }
}

/** @throws InferenceError InvalidArgument where the message does not hold what it says. */
function readOutputs(body: Buffer): readonly Output[] | undefined {
  const message = onlyMessage(body);
  if (message === undefined) return undefined;
  const { outputs, rawOutputContents: raw } = readPredictedOutputs(message);
  return outputs.map(({ name, datatype, shape, contents = NO_CONTENTS }, index) => {
    if (!isDatatype(datatype) || !isShape(shape)) throw invalid(`output ${name} is ${datatype} [${shape.join(', ')}]`);
    const bytes = raw[index];
    const data =
      bytes === undefined
        ? readContents(name, datatype, shape, contents)
        : readBinaryData(name, datatype, shape, bytes);
    return outputOf({ name, datatype, shape, data });
  });
}
