/** ModelDeployments as users write them, in parts. */

export type Spec = Record<string, unknown>;

export const model = { uri: 's3://models/churn/7/' };
export const digest = 'a'.repeat(64);
export const cpu = { requests: { cpu: '1' } };
export const gpu = { limits: { 'nvidia.com/gpu': 1 } };
export const example = { inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [[1, 2]] }] };

/** A ModelDeployment of `model` unless the spec names another; fields that are undefined are left out. */
export const manifest = (spec: Spec, name = 'churn') =>
  JSON.parse(JSON.stringify({ metadata: { name }, spec: { model, ...spec } }));
