import type { Choice, Endpoint, EndpointPoolLike, EndpointWaiter, Target } from '../types.ts';

/**
 * Where a request is now. `waiting`: the waiter hears of it; `lost`: the target has no endpoint, so that it is to be chosen
 * again; `full`: nobody has room, and no more may wait.
 */
export type Place = Endpoint | 'waiting' | 'lost' | 'full';

/** The revision that one request is with, the endpoint that it gets there, and where it goes when that fails it. */
export class Placement {
  readonly #waiter: EndpointWaiter;
  readonly #onFailed: (target: Target) => void;
  #target: Target | undefined;
  #elsewhere: readonly Target[] = [];
  #waitsIn: EndpointPoolLike | undefined;
  #hasFailed = false;

  /** @param onFailed a target has failed the request, which another one has from now on */
  constructor(waiter: EndpointWaiter, onFailed: (target: Target) => void) {
    this.#waiter = waiter;
    this.#onFailed = onFailed;
  }

  get target(): Target | undefined {
    return this.#target;
  }

  /** The target has failed the request, and may still answer it. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** An endpoint of that target, now or as soon as one has room. */
  at({ target, elsewhere }: Pick<Choice, 'target' | 'elsewhere'>): Place {
    this.#turnTo(target);
    this.#elsewhere = elsewhere;
    const { pool } = target;
    return pool.take() ?? (pool.size === 0 ? 'lost' : this.#wait(target) ? 'waiting' : 'full');
  }

  /**
   * Another endpoint for a request that `except` failed before it reached a model: of the target, then of another revision,
   * then, where there is nobody else, `except` again, since a bad chance is better than none. With `isLast` another
   * revision comes first: the pods of one may all have gone together.
   */
  again(except: Endpoint | undefined, isUnreachable: boolean, isLast: boolean): Place {
    this.failed();
    const another = (isUnreachable && isLast ? this.#takeElsewhere() : undefined) ?? this.another(except);
    if (another !== undefined) return another;
    if (isUnreachable && this.#waitElsewhere()) return 'waiting';
    const target = this.#target;
    if (target === undefined || target.pool.size === 0) return 'lost';
    return target.pool.take() ?? (this.#wait(target) ? 'waiting' : 'full');
  }

  /** One that has room now: of the target, then of another revision, where the target has failed the request. */
  another(except: Endpoint | undefined): Endpoint | undefined {
    const endpoint = this.#target?.pool.take(except);
    if (endpoint !== undefined) return endpoint;
    this.failed();
    return this.#takeElsewhere();
  }

  /** The target has failed the request: should another one have it from now on, that counts. */
  failed(): void {
    this.#hasFailed = true;
  }

  /** The waiter was told, or waits no more. */
  leave(): void {
    this.#waitsIn?.leave(this.#waiter);
    this.#waitsIn = undefined;
  }

  /** The request is with nobody. */
  clear(): void {
    this.#target = undefined;
    this.#hasFailed = false;
  }

  #wait({ pool }: Target): boolean {
    if (pool.size === 0 || !pool.wait(this.#waiter)) return false;
    this.#waitsIn = pool;
    return true;
  }

  #takeElsewhere(): Endpoint | undefined {
    for (const target of this.#elsewhere) {
      const endpoint = target === this.#target ? undefined : target.pool.take();
      if (endpoint === undefined) continue;
      this.#turnTo(target);
      return endpoint;
    }
    return undefined;
  }

  #waitElsewhere(): boolean {
    const busy = this.#elsewhere.find((target) => target !== this.#target && this.#wait(target));
    if (busy === undefined) return false;
    this.#turnTo(busy);
    return true;
  }

  #turnTo(target: Target): void {
    const before = this.#target;
    const hasFailed = this.#hasFailed;
    this.#target = target;
    this.#hasFailed = false;
    if (hasFailed && before !== undefined) this.#onFailed(before);
  }
}
