import { inferenceMethod } from '../../grpc/inference-method.ts';

/** The call that predicts, of the Open Inference Protocol. */
export const MODEL_INFER = inferenceMethod('ModelInfer');

const OF_THE_SERVER: ReadonlySet<string> = new Set([
  ...['ServerLive', 'ServerReady', 'ServerMetadata', 'ModelReady', 'ModelMetadata'].map(inferenceMethod),
  '/grpc.health.v1.Health/Check',
  '/grpc.health.v1.Health/Watch',
]);

/** Whether a call asks a server about itself. Anything else is taken to be inference, methods that we do not know too. */
export function asksAboutServer(path: string | undefined): boolean {
  return path !== undefined && OF_THE_SERVER.has(path);
}
