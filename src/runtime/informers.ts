import { Informer, type InformerOptions } from './informer.ts';
import type { CacheReader, IndexFunction, Watch } from './reconcile-context.ts';
import { formatSelector, type KubeObject, type ObjectKey, type Resource, resourceName } from './types.ts';

/** One informer a resource, shared by everyone who watches it. */
export class Informers implements CacheReader {
  readonly #informers: ReadonlyMap<string, Informer<KubeObject>>;

  /** @throws Error when two watches of one resource differ in what they select or keep. */
  constructor(watches: readonly Watch[], options: InformerOptions) {
    const byResource = Map.groupBy(watches, (watch) => resourceName(watch.resource));
    this.#informers = new Map(
      [...byResource].map(([name, same]) => [name, new Informer(mergeWatches(name, same), options)]),
    );
  }

  all(): readonly Informer<KubeObject>[] {
    return [...this.#informers.values()];
  }

  /** @throws Error when nobody watches the resource. */
  of<T extends KubeObject>(resource: Resource<T>): Informer<T> {
    const informer = this.#informers.get(resourceName(resource));
    if (informer === undefined) throw new Error(`no controller watches ${resourceName(resource)}, so it is not cached`);
    return informer as unknown as Informer<T>;
  }

  get hasSynced(): boolean {
    return this.all().every((informer) => informer.hasSynced);
  }

  /** Collections that were not listed yet or may no longer be, of one namespace or of all. */
  unlisted(namespace?: string): readonly string[] {
    return this.all().flatMap((informer) => informer.unlisted(namespace));
  }

  get<T extends KubeObject>(resource: Resource<T>, key: ObjectKey): T | undefined {
    return this.of(resource).get(key);
  }

  list<T extends KubeObject>(resource: Resource<T>, namespace?: string): readonly T[] {
    return this.of(resource).list(namespace);
  }

  ownedBy<T extends KubeObject>(resource: Resource<T>, ownerUid: string): readonly T[] {
    return this.of(resource).ownedBy(ownerUid);
  }

  byIndex<T extends KubeObject>(resource: Resource<T>, index: string, value: string): readonly T[] {
    return this.of(resource).byIndex(index, value);
  }

  isInstalled(resource: Resource): boolean {
    const informer = this.of(resource);
    if (!informer.isInstalled) informer.lookAgain();
    return informer.isInstalled;
  }
}

function mergeWatches(name: string, watches: readonly Watch[]): Watch {
  const [first, ...others] = watches;
  if (first === undefined) throw new Error(`no watch of ${name}`);
  const indexes: Record<string, IndexFunction<KubeObject>> = { ...first.indexes };
  for (const other of others) {
    const [a, b] = [first, other].map((watch) => formatSelector(watch.selector ?? {}));
    if (a !== b)
      throw new Error(`${name} is watched with the selectors "${a}" and "${b}"; its watchers share one cache`);
    if (first.optional !== other.optional)
      throw new Error(`${name} is watched as optional and as required; its watchers share one cache`);
    if (first.transform !== other.transform)
      throw new Error(`${name} is watched with two transforms; its watchers share one cache`);
    for (const [index, of] of Object.entries(other.indexes ?? {})) {
      if (indexes[index] !== undefined && indexes[index] !== of) throw new Error(`${name} has two indexes ${index}`);
      indexes[index] = of;
    }
  }
  return { ...first, indexes };
}
