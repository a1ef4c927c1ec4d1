/** A client of the Open Inference Protocol over REST, as small as a user's own would be. */

export interface Prediction {
  readonly label: number;
  readonly probability: number;
}

export interface InferResponse {
  readonly model_name: string;
  readonly model_version?: string;
  readonly outputs: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly data: readonly number[];
  }[];
}

/** Sends rows of equal length as one FP32 tensor `x`. Throws with the server's own words on any status but 200. */
export async function inferRows(
  baseUrl: string,
  model: string,
  rows: readonly (readonly number[])[],
): Promise<InferResponse> {
  const input = { name: 'x', shape: [rows.length, rows[0]?.length ?? 0], datatype: 'FP32', data: rows.flat() };
  const response = await fetch(`${baseUrl}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: [input] }),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status} ${text}`);
  return JSON.parse(text) as InferResponse;
}

/** The class and its probability of each row, from the outputs `label` and `probabilities`. */
export function predictions(response: InferResponse): Prediction[] {
  const labels = response.outputs.find((output) => output.name === 'label');
  const probabilities = response.outputs.find((output) => output.name === 'probabilities');
  const classes = probabilities?.shape[1] ?? 1;
  return (labels?.data ?? []).map((label, row) => ({
    label,
    probability: probabilities?.data[row * classes + label] ?? Number.NaN,
  }));
}
