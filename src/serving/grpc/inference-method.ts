/** The path of a method of the Open Inference Protocol, such as `ModelInfer`. */
export const inferenceMethod = (name: string): string => `/inference.GRPCInferenceService/${name}`;
