import type { BatchClock } from '../batching/batcher.ts';

/**
 * How the parts of the router meet. A port's `RequestRouter` says for each request where it goes; relays (`http1/`, and
 * gRPC's) carry it there; an `EndpointPool` (`balancing/`) picks the pod. None of them knows Kubernetes.
 */

/** Time as the data path needs it; tests bring their own (`../testing/fake-clock.ts`). */
export type RouterClock = Pick<BatchClock, 'nowMs' | 'afterDelay'>;

/** The fields of a request's head (headers, metadata) that a choice may look at. */
export interface RequestFields {
  /** The value of the first field of that name, which is given in lower case; undefined without one. */
  get(name: string): string | undefined;
}

/** One pod as requests reach it. Its address is its identity: with other ports it is another endpoint. */
export interface EndpointAddress {
  readonly address: string;
  readonly ports: { readonly http: number; readonly grpc?: number | undefined };
}

/**
 * How one request to an endpoint ended, as far as the endpoint is to blame. `unreachable`: no connection. `failed`: the
 * connection broke, no answer in the time that the route gives, or 502, 503, 504. `neutral` says nothing of it (the client
 * went away, or gave it less time).
 */
export type EndpointResult = 'ok' | 'failed' | 'unreachable' | 'neutral';

/** An endpoint that a pool handed out; it counts as one request in flight until it is given back. */
export interface Endpoint extends EndpointAddress {
  readonly inFlight: number;
  /** It is not among the pool's endpoints any more: what is in flight may end, connections are not kept. */
  readonly isRemoved: boolean;
}

/** Who waits for an endpoint of a pool. */
export interface EndpointWaiter {
  /** It is yours now: called once, and not after `leave`. */
  granted(endpoint: Endpoint): void;
  /** The pool has lost its last endpoint, and you wait no more: called instead of `granted`. */
  stranded(): void;
}

/** Requests that may wait for endpoints: one for all pools of a route. */
export interface WaitingRoom {
  waiting: number;
  max: number;
}

export interface EndpointListener {
  added(endpoint: Endpoint): void;
  removed(endpoint: Endpoint): void;
}

/** The pods of one revision: who is next, who is ejected, who waits. Knows nothing of connections. */
export interface EndpointPoolLike {
  /** How many endpoints there are; 0: the revision can answer nothing now. */
  readonly size: number;
  readonly inFlight: number;
  readonly waiting: number;
  /** The endpoints from now on. Those that stay keep their counts and their place. */
  update(endpoints: readonly EndpointAddress[]): void;
  /** Limits from now on; waiting requests are served where they allow more. */
  configure(limits: { readonly maxInFlight: number; readonly room: WaitingRoom }): void;
  /**
   * The endpoint with the fewest requests in flight; undefined where none has room, or others wait. With `except`, for a
   * request that has failed there: one that is neither it nor ejected, whoever waits.
   */
  take(except?: Endpoint): Endpoint | undefined;
  /** Every endpoint that `take` or `granted` gave is released once. */
  release(endpoint: Endpoint, result: EndpointResult): void;
  /** Waits for an endpoint. False when the room is full: then nobody waits. */
  wait(waiter: EndpointWaiter): boolean;
  /** Waits no more. */
  leave(waiter: EndpointWaiter): void;
  /** Tells of endpoints as they come and go, beginning with those that there are. */
  watch(listener: EndpointListener): void;
}

/**
 * How a request to a revision ended. `error`: 5xx or no answer at all. `cancelled`: the client had sent it whole, and gave
 * up before an answer began. `withdrawn`: nobody wants the answer, through no fault of the revision.
 */
export type RequestOutcome = 'success' | 'error' | 'cancelled' | 'withdrawn';

/**
 * Counts of one revision. `seconds` run from the whole head of the request to the head of its answer, or until the client
 * gave it up.
 */
export interface RevisionObserver {
  ended(outcome: RequestOutcome, seconds: number): void;
  /** A copy ended. `agreed` is undefined where there were not two answers that could be compared. */
  mirrored(outcome: 'success' | 'error', seconds: number, agreed: boolean | undefined): void;
  /** A copy was not sent: too many were under way, no memory was left for it, or it would have had to wait for a pod. */
  mirrorDropped(): void;
}

/** A revision that can answer. */
export interface Target {
  readonly modelDeployment: string;
  readonly revision: string;
  readonly pool: EndpointPoolLike;
  readonly observer: RevisionObserver;
}

/** Who is asked beside, or in place of, the target of a choice. */
export interface OtherTarget {
  readonly target: Target;
  /** Asked for by this name, of no version; undefined: as the client asked. */
  readonly modelName?: string | undefined;
}

export interface EnsembleMember extends OtherTarget {
  readonly weight: number;
}

export interface EnsembleChoice {
  readonly members: readonly EnsembleMember[];
  readonly combine: 'Average' | 'Vote';
}

/** Where one request goes. Choices without fallback and ensemble are best made once a route, not once a request. */
export interface Choice {
  /** Answers, and is counted. Of an ensemble: its first member. */
  readonly target: Target;
  /** Where requests go that the target failed before they reached a model: other revisions with weight, heaviest first. */
  readonly elsewhere: readonly Target[];
  readonly maxBodyBytes: number;
  readonly timeoutMs: number;
  /** This request is copied there. */
  readonly mirror?: { readonly target: Target; readonly tolerance: number } | undefined;
  readonly fallback?: (OtherTarget & { readonly afterMs?: number | undefined }) | undefined;
  readonly ensemble?: EnsembleChoice | undefined;
}

/** No revision can be asked; answered 503. `reason` says why and is shown to the client. */
export interface Unroutable {
  readonly reason: string;
}

/** Decides for the requests of one port; must be fast and not throw. */
export interface RequestRouter {
  /**
   * Called once a request, when its head is whole; and again where the target of that choice has `lost` its last endpoint
   * before the request got one: what chance had drawn stays drawn, so that the request counts as passed over there.
   */
  choose(fields: RequestFields, lost?: Target): Choice | Unroutable;
}
