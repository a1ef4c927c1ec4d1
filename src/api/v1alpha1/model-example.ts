import Type, { type Static } from 'typebox';
import { text } from '../schema.ts';

/** Examples of a model: the one source for warm-up, smoke tests and a curl that can be copied. */

const TensorName = text(256, { description: 'Name of the tensor in the model.', minLength: 1 });
const Data = Type.Array(Type.Unknown(), {
  description: 'Values, flat or nested by shape; at most 131072 at the top level.',
  maxItems: 131_072,
});

export const InferenceTensor = Type.Object(
  {
    name: TensorName,
    shape: Type.Array(Type.Integer({ description: 'Size of one dimension.', minimum: 0, format: 'int64' }), {
      description: 'Row-major shape, of at most 16 dimensions.',
      maxItems: 16,
    }),
    datatype: Type.Optional(
      Type.Enum(
        // biome-ignore format: the protocol's own order, a line a family
        ['BOOL', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64',
         'FP16', 'BF16', 'FP32', 'FP64', 'BYTES'],
        { description: "Open Inference Protocol type. Default: the type of the model's input." },
      ),
    ),
    data: Data,
  },
  { additionalProperties: false, description: 'One input tensor.' },
);

export const ExpectedTensor = Type.Object(
  { name: TensorName, data: Data },
  { additionalProperties: false, description: 'One output tensor that the model must return.' },
);

export const ModelExample = Type.Object(
  {
    inputs: Type.Array(InferenceTensor, { minItems: 1, maxItems: 64, description: 'What is sent: all inputs.' }),
    expect: Type.Optional(
      Type.Array(ExpectedTensor, {
        maxItems: 64,
        description: 'What must come back. Outputs that are not named may be anything. Default: any answer is right.',
      }),
    ),
    tolerance: Type.Optional(
      Type.Number({
        minimum: 0,
        description:
          'Largest absolute difference of a floating-point value. Default, by type: 0.0001 and 0.001 % of the ' +
          'expected value together for FP32 and FP64, 0.001 and 0.4 % for FP16, 0.01 and 3 % for BF16.',
      }),
    ),
  },
  { additionalProperties: false, description: 'One request and what must be answered.' },
);

export type InferenceTensor = Static<typeof InferenceTensor>;
export type ModelExample = Static<typeof ModelExample>;
