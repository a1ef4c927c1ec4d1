import type { ModelExample } from '../api/serving-config.ts';
import { differsAt, valueAt } from './compare-tensors.ts';
import { InferenceError } from './inference-error.ts';
import { LoadFailure } from './models/failure.ts';
import { writeBinaryData } from './protocol/binary-tensor.ts';
import { MAX_EXACT_JSON_BYTES } from './protocol/heap-limits.ts';
import { readInferRequest, readInputs } from './protocol/infer-request.ts';
import { InferResponseWriter } from './protocol/infer-response.ts';
import { readJsonData, writeJsonValues } from './protocol/json-tensor.ts';
import type { ModelSignature } from './protocol/model-signature.ts';
import { sampleInputs } from './sample-inputs.ts';
import type { SessionLike } from './session.ts';
import type { Datatype, Tensor } from './tensor.ts';

/** Runs until the code is warm, but never longer than this beyond the first. */
const WARM_UP_MS = 150;
const WARM_UP_RUNS = 50;
/** More values than this are not worth their text, which takes many times their bytes of heap: they go in binary. */
const MAX_JSON_ELEMENTS = 10_000;
/** Sizes tried for free dimensions of a model without examples: small ones first, then usual image and text sizes. */
const FREE_SIZES = [1, 8, 32, 224];

/** How far an answer may lie from what an example expects: `absolute + relative * |expected|`. */
interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** Unless an example says otherwise: some times what another order of additions changes in a value of the type. */
const TOLERANCES: Readonly<Partial<Record<Datatype, Tolerance>>> = {
  FP64: { absolute: 1e-4, relative: 1e-5 },
  FP32: { absolute: 1e-4, relative: 1e-5 },
  FP16: { absolute: 1e-3, relative: 4e-3 },
  BF16: { absolute: 1e-2, relative: 3e-2 },
};
const EXACT: Tolerance = { absolute: 0, relative: 0 };

/**
 * Proves that a model answers before it counts as ready: its examples go through the code that requests go through,
 * and must give what they expect; without examples, inputs made from the signature must be answered. Returns inputs
 * that the model has answered.
 * @throws LoadFailure ExampleMismatch, or LoadFailed when the engine refuses every made-up input.
 */
export async function warmUp(
  session: SessionLike,
  signature: ModelSignature,
  examples: readonly ModelExample[],
  nowMs: () => number,
): Promise<readonly Tensor[]> {
  const answered: (readonly Tensor[])[] = [];
  for (const [index, example] of examples.entries())
    answered.push(await checkExample(session, signature, example, index));
  const [inputs = await answerSample(session, signature)] = answered;
  const { body, jsonBytes } = requestOf(inputs);
  const writer = new InferResponseWriter('warm-up', undefined, signature.outputs);
  const endsAtMs = nowMs() + WARM_UP_MS;
  for (let run = 0; run < WARM_UP_RUNS && nowMs() < endsAtMs; run++) {
    const request = readInferRequest(signature, body, jsonBytes);
    const outputs = await session.run(request.inputs, request.outputNames);
    // Bytes that are not text cannot go as JSON; a model that gives them is answered in binary.
    const binaryOutputs = outputs.map(({ datatype, data }) => datatype === 'BYTES' || data.length > MAX_JSON_ELEMENTS);
    writer.write(undefined, outputs, binaryOutputs);
  }
  return inputs;
}

/** A request as a client would send it, which no limit on the size of JSON refuses: in binary where it is large. */
function requestOf(inputs: readonly Tensor[]): { readonly body: Buffer; readonly jsonBytes: number } {
  const elements = inputs.reduce((sum, { data }) => sum + data.length, 0);
  if (elements <= MAX_JSON_ELEMENTS) {
    const json = Buffer.from(requestText(inputs, (tensor) => `"data":[${writeJsonValues(tensor)}]`));
    if (json.length <= MAX_EXACT_JSON_BYTES) return { body: json, jsonBytes: json.length };
  }
  const values = inputs.map(writeBinaryData);
  const head = Buffer.from(
    requestText(inputs, (_, index) => `"parameters":{"binary_data_size":${values[index]?.length}}`),
  );
  return { body: Buffer.concat([head, ...values]), jsonBytes: head.length };
}

function requestText(inputs: readonly Tensor[], valuesOf: (tensor: Tensor, index: number) => string): string {
  const texts = inputs.map(
    (tensor, index) =>
      `{"name":${JSON.stringify(tensor.name)},"datatype":"${tensor.datatype}","shape":[${tensor.shape}],${valuesOf(tensor, index)}}`,
  );
  return `{"inputs":[${texts.join(',')}]}`;
}

async function checkExample(
  session: SessionLike,
  signature: ModelSignature,
  example: ModelExample,
  index: number,
): Promise<readonly Tensor[]> {
  const where = `example ${index}`;
  try {
    const inputs = example.inputs.map((input) => ({ datatype: signature.input(input.name).datatype, ...input }));
    const tensors = readInputs(signature, inputs, Buffer.alloc(0));
    const outputs = await session.run(tensors, signature.outputNames);
    for (const { name, data } of example.expect ?? []) {
      const actual = outputs[signature.outputIndex(name)];
      if (actual === undefined) throw new Error(`the model did not give output ${name}`);
      expectClose(where, actual, data, toleranceOf(example, actual));
    }
    return tensors;
  } catch (error) {
    if (error instanceof LoadFailure) throw error;
    const detail = error instanceof Error ? error.message : String(error);
    const whose = error instanceof InferenceError ? 'does not fit the model' : 'is refused by the model';
    throw new LoadFailure('ExampleMismatch', `${where} ${whose}: ${detail}`, { cause: error });
  }
}

function toleranceOf({ tolerance }: ModelExample, { datatype }: Tensor): Tolerance {
  return tolerance === undefined ? (TOLERANCES[datatype] ?? EXACT) : { absolute: tolerance, relative: 0 };
}

function expectClose(where: string, actual: Tensor, data: readonly unknown[], { absolute, relative }: Tolerance): void {
  const expected = { ...actual, data: readJsonData(actual.name, actual.datatype, actual.shape, data) };
  const index = differsAt(expected, actual, absolute, relative);
  if (index === undefined) return;
  const wanted = valueAt(expected, index);
  const allowed = absolute + relative * (typeof wanted === 'number' && Number.isFinite(wanted) ? Math.abs(wanted) : 0);
  throw new LoadFailure(
    'ExampleMismatch',
    `${where}: output ${actual.name}[${index}] is ${valueAt(actual, index)}, but ${wanted} was expected (tolerance ${Number(allowed.toPrecision(3))})`,
  );
}

async function answerSample(session: SessionLike, signature: ModelSignature): Promise<readonly Tensor[]> {
  let refusal: unknown;
  for (const freeSize of FREE_SIZES) {
    const inputs = sampleInputs(signature.inputs, 1, freeSize);
    try {
      await session.run(inputs, signature.outputNames);
      return inputs;
    } catch (error) {
      if (error instanceof LoadFailure) throw error;
      refusal = error;
    }
  }
  throw new LoadFailure(
    'LoadFailed',
    `the model refuses inputs made from its signature; give an example (spec.model.examples): ${refusal instanceof Error ? refusal.message : String(refusal)}`,
    { cause: refusal },
  );
}
