import type { IndexFunction } from './reconcile-context.ts';
import { controllerOf, type KubeObject, keyOf, type ObjectKey } from './types.ts';

export const OWNER_INDEX = 'owner';
export const NAMESPACE_INDEX = 'namespace';

/** Objects by key and by indexes, which are always true to the objects. */
export class Store<T extends KubeObject> {
  readonly #objects = new Map<ObjectKey, T>();
  readonly #indexFunctions: ReadonlyMap<string, IndexFunction<T>>;
  readonly #indexes = new Map<string, Map<string, Set<ObjectKey>>>();

  constructor(indexes: Readonly<Record<string, IndexFunction<T>>> = {}) {
    this.#indexFunctions = new Map<string, IndexFunction<T>>([
      [NAMESPACE_INDEX, (object) => [object.metadata.namespace ?? '']],
      [OWNER_INDEX, ownerUids],
      ...Object.entries(indexes),
    ]);
    for (const name of this.#indexFunctions.keys()) this.#indexes.set(name, new Map());
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: ObjectKey): T | undefined {
    return this.#objects.get(key);
  }

  keys(): IterableIterator<ObjectKey> {
    return this.#objects.keys();
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** @throws Error when there is no such index. */
  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new Error(`no index ${name}; there are: ${[...this.#indexes.keys()].join(', ')}`);
    const found: T[] = [];
    for (const key of index.get(value) ?? []) {
      const object = this.#objects.get(key);
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  set(object: T): void {
    const key = keyOf(object);
    const old = this.#objects.get(key);
    // Evaluated first: an index function that throws leaves the store as it was.
    const entries = [...this.#indexFunctions].map(([name, of]) => [name, of(object)] as const);
    if (old !== undefined) this.#unindex(key, old);
    this.#objects.set(key, object);
    for (const [name, values] of entries) {
      const index = this.#indexes.get(name);
      for (const value of values) {
        const keys = index?.get(value);
        if (keys === undefined) index?.set(value, new Set([key]));
        else keys.add(key);
      }
    }
  }

  delete(key: ObjectKey): void {
    const old = this.#objects.get(key);
    if (old === undefined) return;
    this.#unindex(key, old);
    this.#objects.delete(key);
  }

  #unindex(key: ObjectKey, object: T): void {
    for (const [name, of] of this.#indexFunctions) {
      const index = this.#indexes.get(name);
      for (const value of of(object)) {
        const keys = index?.get(value);
        keys?.delete(key);
        if (keys?.size === 0) index?.delete(value);
      }
    }
  }
}

function ownerUids(object: KubeObject): readonly string[] {
  const owner = controllerOf(object);
  return owner === undefined ? [] : [owner.uid];
}
