import type { TensorSpec } from '../tensor.ts';
import type { ModelSignature } from './model-signature.ts';

export const SERVER_NAME = 'fairlead';
export const EXTENSIONS: readonly string[] = ['binary_tensor_data'];
/** The protocol's name for ONNX models run by onnxruntime. */
export const PLATFORM = 'onnx_onnxv1';

export function serverMetadata(version: string) {
  return { name: SERVER_NAME, version, extensions: EXTENSIONS };
}

export function modelMetadata(
  model: { readonly name: string; readonly signature: ModelSignature },
  versions: readonly string[],
) {
  return {
    name: model.name,
    ...(versions.length === 0 ? {} : { versions }),
    platform: PLATFORM,
    inputs: model.signature.inputs.map(tensorMetadata),
    outputs: model.signature.outputs.map(tensorMetadata),
  };
}

function tensorMetadata({ name, datatype, shape }: TensorSpec) {
  return { name, datatype, shape };
}
