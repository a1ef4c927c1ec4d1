/** Which ports of the routers stand for a ModelDeployment. Pure. */
import { createHash } from 'node:crypto';
import { ROUTER_PORT_RANGE } from '../../../api/names.ts';
import { type ObjectKey, objectKey } from '../../../runtime/types.ts';
import type { Owner } from '../children.ts';

/** Another route of the namespace, which has a port. */
export interface OtherRoute {
  /** Whether it was there first. */
  readonly isOlder: boolean;
}

/** Who else has a port for REST. */
export type RoutesAt = (restPort: number) => readonly OtherRoute[];

const PAIRS = (ROUTER_PORT_RANGE.last - ROUTER_PORT_RANGE.first + 1) / 2;

/**
 * The port for REST, which is even; the next one is for gRPC. A route keeps what it has, unless an older one has it too;
 * a new one takes the pair of its name's hash, or the next one that is free.
 * @throws Error when the namespace has no free pair left.
 */
export function restPortOf(modelDeployment: string, held: number | undefined, others: RoutesAt): number {
  if (held !== undefined && !others(held).some(({ isOlder }) => isOlder)) return held;
  const first = createHash('sha256').update(modelDeployment).digest().readUInt32BE() % PAIRS;
  for (let step = 0; step < PAIRS; step++) {
    const port = ROUTER_PORT_RANGE.first + 2 * ((first + step) % PAIRS);
    if (others(port).length === 0) return port;
  }
  throw new Error(`all ${PAIRS} pairs of router ports of the namespace are taken: use another namespace`);
}

/**
 * Ports that this process has given out, which others must not get before they are seen in a route: several
 * ModelDeployments of a namespace are reconciled at once.
 */
export class PortBook {
  readonly #given = new Map<ObjectKey, number>();

  restPortOf(owner: Pick<Owner, 'name' | 'namespace'>, held: number | undefined, others: RoutesAt): number {
    const key = objectKey(owner);
    const prefix = objectKey({ namespace: owner.namespace, name: '' });
    const given = [...this.#given].filter(([other]) => other !== key && other.startsWith(prefix));
    const promised = new Set(given.map(([, port]) => port));
    const all: RoutesAt = (port) => [...others(port), ...(promised.has(port) ? [{ isOlder: false }] : [])];
    const port = restPortOf(owner.name, held ?? this.#given.get(key), all);
    if (held === port) this.#given.delete(key);
    else this.#given.set(key, port);
    return port;
  }

  forget(key: ObjectKey): void {
    this.#given.delete(key);
  }
}
