import { writeJsonValues } from './protocol/json-tensor.ts';
import type { Tensor } from './tensor.ts';

/** Text that may wait to be written; beyond it records are dropped and counted, since a log must never hold back answers. */
const MAX_PENDING_CHARS = 4 * 1024 * 1024;
/** Values of a tensor that one record shows. */
const MAX_VALUES = 1024;

export interface PredictionLogOptions {
  /** Share of predictions that are logged, 0 to 1. */
  readonly samplingRate: number;
  /** Writes text to the sink; resolves when it may be given more. */
  readonly write: (text: string) => Promise<void>;
  readonly random: () => number;
  readonly now: () => Date;
  readonly onDropped: (records: number) => void;
}

export interface Prediction {
  readonly model: string;
  readonly version: string | undefined;
  readonly id: string | undefined;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly latencyMs: number;
}

/** Writes a sample of the predictions as one JSON object a line. */
export class PredictionLog {
  readonly #options: PredictionLogOptions;
  #pending: string[] = [];
  #pendingChars = 0;
  #writing: Promise<void> | undefined;

  constructor(options: PredictionLogOptions) {
    this.#options = options;
  }

  record(prediction: Prediction): void {
    const { samplingRate, random, onDropped } = this.#options;
    if (samplingRate < 1 && random() >= samplingRate) return;
    if (this.#pendingChars >= MAX_PENDING_CHARS) {
      onDropped(1);
      return;
    }
    const line = this.#format(prediction);
    this.#pending.push(line);
    this.#pendingChars += line.length;
    this.#writing ??= this.#drain();
  }

  /** Resolves when everything recorded is written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#pending.length > 0) {
        const lines = this.#pending;
        const text = lines.join('');
        this.#pending = [];
        await this.#options.write(text).catch(() => this.#options.onDropped(lines.length));
        this.#pendingChars -= text.length;
      }
    } finally {
      this.#writing = undefined;
    }
  }

  #format(prediction: Prediction): string {
    const { model, version, id, inputs, outputs, latencyMs } = prediction;
    const head = JSON.stringify({
      timestamp: this.#options.now().toISOString(),
      message: 'prediction',
      model,
      version,
      id,
      latencyMs: Math.round(latencyMs * 1000) / 1000,
    });
    return `${head.slice(0, -1)},"inputs":[${inputs.map(formatTensor).join(',')}],"outputs":[${outputs.map(formatTensor).join(',')}]}\n`;
  }
}

function formatTensor(tensor: Tensor): string {
  const isTruncated = tensor.data.length > MAX_VALUES;
  const shown = isTruncated ? { ...tensor, data: tensor.data.slice(0, MAX_VALUES) } : tensor;
  const head = JSON.stringify({
    name: tensor.name,
    datatype: tensor.datatype,
    shape: tensor.shape,
    ...(isTruncated ? { isTruncated } : {}),
  });
  return `${head.slice(0, -1)},"data":[${tensor.datatype === 'BYTES' ? formatBytes(shown) : writeJsonValues(shown)}]}`;
}

function formatBytes(tensor: Tensor): string {
  const strings = tensor.data as readonly Uint8Array[];
  return strings.map((bytes) => JSON.stringify(Buffer.from(bytes.subarray(0, MAX_VALUES)).toString('utf8'))).join(',');
}
