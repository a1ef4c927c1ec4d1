import type { Tensor, TensorSpec } from '../tensor.ts';
import { writeBinaryData } from './binary-tensor.ts';
import { checkJsonAnswer, jsonChars, writeJsonValues } from './json-tensor.ts';

/** An answer ready to send: JSON text, and the binary tensors that follow it. */
export interface InferResponseBody {
  readonly json: string;
  readonly binary: readonly Uint8Array[];
}

/** Writes the answers of one model; what never changes between answers is written once. */
export class InferResponseWriter {
  /** The opening of every answer: an object with the model's name and version, not yet closed. */
  readonly head: string;
  readonly #outputHeads: ReadonlyMap<string, string>;

  constructor(modelName: string, modelVersion: string | undefined, outputs: readonly TensorSpec[]) {
    const version = modelVersion === undefined ? '' : `,"model_version":${JSON.stringify(modelVersion)}`;
    this.head = `{"model_name":${JSON.stringify(modelName)}${version}`;
    this.#outputHeads = new Map(
      outputs.map(({ name, datatype }) => [name, `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[`]),
    );
  }

  /** `binaryOutputs[i]` says whether output `i` goes as bytes. @throws InferenceError as `checkJsonAnswer`, `writeJsonValues`. */
  write(id: string | undefined, outputs: readonly Tensor[], binaryOutputs: readonly boolean[]): InferResponseBody {
    let chars = 0;
    for (let index = 0; index < outputs.length; index++) {
      const tensor = outputs[index];
      if (tensor !== undefined && binaryOutputs[index] !== true) chars += jsonChars(tensor);
    }
    checkJsonAnswer(chars);
    const binary: Uint8Array[] = [];
    let json = this.head;
    if (id !== undefined) json += `,"id":${JSON.stringify(id)}`;
    json += ',"outputs":[';
    for (let index = 0; index < outputs.length; index++) {
      const tensor = outputs[index];
      if (tensor === undefined) continue;
      if (index > 0) json += ',';
      json += `${this.#outputHeads.get(tensor.name)}${tensor.shape.join(',')}]`;
      if (binaryOutputs[index] === true) {
        const bytes = writeBinaryData(tensor);
        binary.push(bytes);
        json += `,"parameters":{"binary_data_size":${bytes.length}}}`;
      } else {
        json += `,"data":[${writeJsonValues(tensor)}]}`;
      }
    }
    return { json: `${json}]}`, binary };
  }
}
