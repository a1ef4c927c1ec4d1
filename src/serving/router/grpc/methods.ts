/** The call that predicts, of the Open Inference Protocol. */
export const MODEL_INFER = '/inference.GRPCInferenceService/ModelInfer';

const OF_THE_SERVER: ReadonlySet<string> = new Set([
  '/inference.GRPCInferenceService/ServerLive',
  '/inference.GRPCInferenceService/ServerReady',
  '/inference.GRPCInferenceService/ServerMetadata',
  '/inference.GRPCInferenceService/ModelReady',
  '/inference.GRPCInferenceService/ModelMetadata',
  '/grpc.health.v1.Health/Check',
  '/grpc.health.v1.Health/Watch',
]);

/** Whether a call asks a server about itself. Anything else is taken to be inference, methods that we do not know too. */
export function asksAboutServer(path: string | undefined): boolean {
  return path !== undefined && OF_THE_SERVER.has(path);
}
