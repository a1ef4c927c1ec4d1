import { InferenceError, quoted } from './inference-error.ts';
import type { Predictor } from './predictor.ts';

/** A model the server is told to serve; it is known from the start and answers once it is loaded. */
interface Slot {
  readonly name: string;
  readonly version: string | undefined;
  predictor: Predictor | undefined;
}

/** The models of one server, by name and version. */
export class ModelSet {
  readonly #slots: readonly Slot[];

  /** Of several versions of a name the one listed last answers requests that name no version. */
  constructor(models: readonly { readonly name: string; readonly version?: string | undefined }[]) {
    this.#slots = models.map(({ name, version }) => ({ name, version, predictor: undefined }));
  }

  get isReady(): boolean {
    return this.#slots.every(({ predictor }) => predictor !== undefined);
  }

  get predictors(): readonly Predictor[] {
    return this.#slots.flatMap(({ predictor }) => predictor ?? []);
  }

  /** Lets a model answer from now on. */
  add(predictor: Predictor): void {
    const slot = this.#slots.find(({ name, version }) => name === predictor.name && version === predictor.version);
    if (slot === undefined) throw new RangeError(`model ${predictor.name} is none of this server's`);
    slot.predictor = predictor;
  }

  /** Versions of a model that a request may name. @throws InferenceError NotFound. */
  versions(name: string): readonly string[] {
    return this.#named(name).flatMap(({ version }) => version ?? []);
  }

  /**
   * The model that answers; an absent version leaves the choice to the server, an absent name is enough where there is
   * only one model.
   * @throws InferenceError NotFound, or Unavailable while it loads.
   */
  find(name: string | undefined, version: string | undefined): Predictor {
    const slot = this.#slot(name, version);
    if (slot.predictor === undefined) throw new InferenceError('Unavailable', `model ${quoted(slot.name)} is loading`);
    return slot.predictor;
  }

  /** Whether a model answers requests. @throws InferenceError NotFound. */
  readiness(
    name: string | undefined,
    version: string | undefined,
  ): { readonly name: string; readonly isReady: boolean } {
    const slot = this.#slot(name, version);
    return { name: slot.name, isReady: slot.predictor !== undefined };
  }

  #slot(name: string | undefined, version: string | undefined): Slot {
    const slots = this.#named(name);
    const slot = version === undefined ? slots.at(-1) : slots.find((candidate) => candidate.version === version);
    if (slot !== undefined) return slot;
    const known = slots.flatMap((candidate) => candidate.version ?? []).map(quoted);
    throw new InferenceError(
      'NotFound',
      `model ${quoted(slots[0]?.name ?? '')} has no version ${quoted(version ?? '')}: ${known.length === 0 ? 'it is served without versions' : `there are ${known.join(', ')}`}`,
    );
  }

  #named(name: string | undefined): readonly Slot[] {
    const names = [...new Set(this.#slots.map((slot) => slot.name))];
    if (name === undefined && names.length > 1) {
      throw new InferenceError('NotFound', `name one of the models in the path: ${names.map(quoted).join(', ')}`);
    }
    const slots = name === undefined ? this.#slots : this.#slots.filter((slot) => slot.name === name);
    if (slots.length === 0) {
      throw new InferenceError(
        'NotFound',
        `unknown model ${quoted(name ?? '')}: there are ${names.map(quoted).join(', ')}`,
      );
    }
    return slots;
  }
}
