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
  readonly #byName: ReadonlyMap<string, readonly Slot[]>;
  readonly #onUnroutable: () => void;

  /**
   * Of several versions of a name the one listed last answers requests that name no version. `onUnroutable` is told
   * when a prediction is asked of a model or version that is not here.
   */
  constructor(
    models: readonly { readonly name: string; readonly version?: string | undefined }[],
    onUnroutable: () => void,
  ) {
    this.#onUnroutable = onUnroutable;
    this.#slots = models.map(({ name, version }) => ({ name, version, predictor: undefined }));
    this.#byName = Map.groupBy(this.#slots, ({ name }) => name);
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
    const slot = this.#routed(name, version);
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

  #routed(name: string | undefined, version: string | undefined): Slot {
    try {
      return this.#slot(name, version);
    } catch (error) {
      this.#onUnroutable();
      throw error;
    }
  }

  #slot(name: string | undefined, version: string | undefined): Slot {
    const slots = this.#named(name);
    const slot = version === undefined ? slots.at(-1) : slots.find((candidate) => candidate.version === version);
    if (slot !== undefined) return slot;
    const known = slots.flatMap((candidate) => candidate.version ?? []).map(quoted);
    const have = known.length === 0 ? 'it is served without versions' : `there are ${known.join(', ')}`;
    const asked = `model ${quoted(slots[0]?.name ?? '')} has no version ${quoted(version ?? '')}`;
    throw new InferenceError('NotFound', `${asked}: ${have}`);
  }

  #named(name: string | undefined): readonly Slot[] {
    const slots = name === undefined ? this.#onlyModel() : this.#byName.get(name);
    if (slots !== undefined) return slots;
    const names = [...this.#byName.keys()].map(quoted).join(', ');
    throw new InferenceError(
      'NotFound',
      name === undefined
        ? `name one of the models in the path: ${names}`
        : `unknown model ${quoted(name)}: there are ${names}`,
    );
  }

  #onlyModel(): readonly Slot[] | undefined {
    return this.#byName.size === 1 ? this.#slots : undefined;
  }
}
