import Type, { type Static } from 'typebox';
import { cel, text } from '../schema.ts';
import { duration } from './duration.ts';

/** What runs the model in a pod. */

export const Batching = Type.Object(
  {
    maxBatchSize: Type.Integer({
      description: 'Rows of a batch at most, 1 to 4096.',
      minimum: 1,
      maximum: 4096,
      default: 32,
    }),
    maxDelay: duration(
      { min: '0s', max: '10s' },
      {
        description: 'How long the first request of a batch may wait for others while the model is busy, 0s to 10s.',
        default: '2ms',
      },
    ),
  },
  {
    description:
      'Combines concurrent requests of one shape into one inference. Default: up to 32 rows, which never wait, of ' +
      'models whose graph proves that rows cannot change each other. Given, also of models whose graph leaves that ' +
      'open, if trial runs find no difference.',
  },
);

export const Cache = Type.Object(
  {
    maxEntries: Type.Integer({
      description:
        'Answers that a pod keeps at most, 1 to 1000000; fewer where they would take more than 256 MiB or a quarter ' +
        "of the server's heap.",
      minimum: 1,
      maximum: 1_000_000,
      default: 10_000,
    }),
    ttl: duration(
      { min: '1ms', max: '8760h' },
      { description: 'How long an answer may be given again, 1ms to 8760h.', default: '1h' },
    ),
  },
  { description: 'Answers equal requests from memory. Default: no cache.' },
);

const port = (description: string, options: { default?: number } = {}) =>
  Type.Integer({ description, minimum: 1, maximum: 65_535, ...options });

export const RuntimeContainer = Type.Object(
  {
    image: text(1024, { description: 'Image that serves the model.', minLength: 1 }),
    command: Type.Optional(
      Type.Array(text(4096, { description: 'One word.' }), {
        description: "Entry point. Default: the image's.",
        maxItems: 64,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    args: Type.Optional(
      Type.Array(text(4096, { description: 'One argument.' }), {
        description: "Arguments; $(FAIRLEAD_MODEL_PATH) is the model's file or directory. Default: the image's.",
        maxItems: 256,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    ports: Type.Object(
      {
        http: port('Where the container answers HTTP.', { default: 8080 }),
        grpc: Type.Optional(port('Where the container answers gRPC. Default: it does not.')),
      },
      {
        description: 'Ports of the container.',
        default: {},
        ...cel({ rule: '!has(self.grpc) || self.grpc != self.http', message: 'grpc must differ from http' }),
      },
    ),
    protocol: Type.Enum(['OpenInference', 'Custom'], {
      description:
        'What the container speaks: OpenInference (version 2 of the Open Inference Protocol, which also says where ' +
        'readiness is asked), or Custom, which needs readinessPath.',
      default: 'OpenInference',
    }),
    readinessPath: Type.Optional(
      text(1024, {
        description:
          'HTTP path that answers 200 only when the model can serve. Default with OpenInference: /v2/health/ready.',
        ...cel({ rule: "self.startsWith('/')", message: 'must start with /' }),
      }),
    ),
  },
  {
    description: "A container of the user's own that serves the model.",
    ...cel({
      rule: "self.protocol != 'Custom' || has(self.readinessPath)",
      message: 'readinessPath must be given when protocol is Custom: readiness cannot be guessed',
      fieldPath: '.readinessPath',
    }),
  },
);
export type RuntimeContainer = Static<typeof RuntimeContainer>;

export const Runtime = Type.Object(
  {
    name: Type.Optional(
      Type.Enum(['onnx'], {
        description:
          'A runtime that Fairlead knows: onnx, the built-in server. Default onnx, unless `container` is given.',
      }),
    ),
    container: Type.Optional(RuntimeContainer),
    batching: Type.Optional(Batching),
    cache: Type.Optional(Cache),
  },
  {
    description: 'What runs the model. Default: the built-in server for ONNX models.',
    ...cel(
      { rule: '!(has(self.name) && has(self.container))', message: 'only one of name and container may be given' },
      {
        rule: '!has(self.container) || !(has(self.batching) || has(self.cache))',
        message: 'batching and cache go with name: onnx only; a container of your own batches and caches itself',
      },
    ),
  },
);
export type Runtime = Static<typeof Runtime>;

/** Where the readiness of a declared container is asked. */
export function readinessPathOf(container: RuntimeContainer): string {
  return container.readinessPath ?? '/v2/health/ready';
}
