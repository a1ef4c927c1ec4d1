import { InferenceError } from '../inference-error.ts';
import { LoadFailure } from './failure.ts';

/** Gives the engine's refusal of a model a reason; the engine tells its errors apart by text only. */
export function engineLoadFailure(error: unknown): LoadFailure {
  if (error instanceof LoadFailure) return error;
  const text = engineMessage(error);
  if (
    /opset \d+ is under development|unsupported model ir version|No Op registered for .* with domain_version of/i.test(
      text,
    )
  ) {
    return new LoadFailure('UnsupportedOpset', `The engine does not know this model's opset: ${text}`, {
      cause: error,
    });
  }
  if (
    /protobuf parsing failed|INVALID_PROTOBUF|INVALID_GRAPH|not a registered function|Model data pointer is null/i.test(
      text,
    )
  ) {
    return new LoadFailure('InvalidModel', `Not a valid ONNX model, or a truncated one: ${text}`, { cause: error });
  }
  if (/NOT_IMPLEMENTED|not implemented|Type Error|ShapeInferenceError|external data|No graph was found/i.test(text)) {
    return new LoadFailure('InvalidModel', `The engine refuses this model: ${text}`, { cause: error });
  }
  if (/bad_alloc|Failed to allocate memory/i.test(text)) {
    return new LoadFailure('LoadFailed', `Not enough memory for this model: ${text}; raise the memory limit`, {
      cause: error,
    });
  }
  return new LoadFailure('LoadFailed', text, { cause: error });
}

/**
 * Values that no check of ours can see to be wrong: an index beyond a table, a division of integers by zero, inputs that
 * disagree in a dimension the model has only a name for. The binding keeps the engine's text, and drops the status that would say so.
 */
const INPUT_REFUSALS =
  /out of data bounds|out of bounds|invalid dimensions|broadcast an axis|(?:incompatible|mismatched|inconsistent) dimensions|dimension mismatch|cannot be reshaped|integer (?:division|modulo) by zero/i;

/** A run's failure in terms of who has to change something: the client (`InvalidArgument`), or else the model. */
export function engineRunFailure(error: unknown): Error {
  const text = engineMessage(error);
  return INPUT_REFUSALS.test(text)
    ? new InferenceError('InvalidArgument', `the model refuses these inputs: ${text}`, { cause: error })
    : new Error(text, { cause: error });
}

/** The engine's message without the place in its own source code. */
export function engineMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .replace(/\s*\/\S*onnxruntime\S*:\d+ .*?\)(?: const)? (?=\S)/s, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}
