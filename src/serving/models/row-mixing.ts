import { operatorsOf } from './onnx-operators.ts';

/**
 * Operators that take a scale from the values of all rows together, so that one row of great values coarsens the rest:
 * `DynamicQuantizeLinear`, `DynamicQuantizeLSTM`, `DynamicQuantizeMatMul`.
 */
const MIXING = /^DynamicQuantize/;

/**
 * Why the rows of a model's batch may change one another, as its graph tells; undefined when it does not tell so. What
 * cannot be read is taken to mix: an engine may know formats, such as ORT's own, that this does not.
 */
export function rowMixing(model: { readonly path: string; readonly bytes?: Uint8Array }): string | undefined {
  try {
    const found = [...operatorsOf(model)].find((operator) => MIXING.test(operator));
    return found && `operator ${found} takes one scale from all rows together`;
  } catch (error) {
    return `the model's operators cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}
