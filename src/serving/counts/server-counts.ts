import type { CountsSnapshot } from '../../api/counts.ts';
import type { ServingConfig } from '../../api/serving-config.ts';
import type { Tensor } from '../tensor.ts';
import { PredictionCounter } from './prediction-counter.ts';
import { RevisionCounter, type RevisionOutcome } from './revision-counter.ts';

/** Counts of one revision as its server sees it: how requests ended, and what was predicted. */
export class ServedCounter {
  readonly requests = new RevisionCounter();
  readonly predictions = new PredictionCounter();

  /** The model answered with these outputs. */
  predicted(outputs: readonly Tensor[]): void {
    this.predictions.count(outputs);
  }

  ended(outcome: RevisionOutcome, seconds: number): void {
    this.requests.ended(outcome, seconds);
  }
}

/** What a server tells at `GET /counts`. In a revision's pod all is counted as that revision's; alone by model and version. */
export class ServerCounts {
  readonly #instance: string;
  readonly #revision: ServingConfig['revision'];
  readonly #counters = new Map<string, Map<string, ServedCounter>>();

  /** @param instance another one after each start of the process */
  constructor(instance: string, revision: ServingConfig['revision']) {
    this.#instance = instance;
    this.#revision = revision;
  }

  forModel(model: string, version: string): ServedCounter {
    const { modelDeployment, name } = this.#revision ?? { modelDeployment: model, name: version };
    const own = this.#counters.get(modelDeployment) ?? new Map<string, ServedCounter>();
    this.#counters.set(modelDeployment, own);
    const counter = own.get(name) ?? new ServedCounter();
    own.set(name, counter);
    return counter;
  }

  /** @param inFlight requests that have no answer now */
  snapshot(inFlight: number): CountsSnapshot {
    const revisions: CountsSnapshot['revisions'] = {};
    for (const [modelDeployment, own] of this.#counters) {
      revisions[modelDeployment] = Object.fromEntries(
        [...own].map(([name, { requests, predictions }]) => [name, requests.snapshot(predictions.snapshot())]),
      );
    }
    return { instance: this.#instance, inFlight, revisions };
  }
}
