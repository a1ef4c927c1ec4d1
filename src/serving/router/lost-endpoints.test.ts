import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { freePort } from '../../../e2e/cluster/free-port.ts';
import type { Route } from '../../api/route.ts';
import { RevisionCounters } from '../counts/revision-counters.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { quietLogger } from '../testing/served.ts';
import { GrpcRelay } from './grpc/grpc-relay.ts';
import { GrpcUpstreams } from './grpc/grpc-upstreams.ts';
import { HttpPort } from './http-port.ts';
import { HttpUpstreams } from './http1/upstreams.ts';
import { RouteTable } from './route-table.ts';
import {
  type AskingClient,
  type Ending,
  type Held,
  type HeldTraffic,
  type HoldingPod,
  heldGrpc,
  heldHttp,
} from './testing/holding-pods.ts';

vi.setConfig({ testTimeout: 60_000 });

const MAX_IN_FLIGHT = 2;
/** Backends always have one for REST. */
const UNUSED_PORT = 17_999;
/** Longer than the time in which a connection that breaks counts as closed before the request came. */
const SETTLED_MS = 200;

interface RevisionUnderTest {
  readonly weight: number;
  readonly addresses: readonly string[];
  port: number;
  pods: readonly HoldingPod[];
  /** Its pods are listed; they may have died. */
  isListed: boolean;
}

/** A whole data plane of one protocol before pods that hold their requests, whose endpoints vanish and come back. */
class Vanishing {
  readonly counters = new RevisionCounters();
  readonly clock = new FakeClock();
  readonly held = new Map<string, Held>();
  readonly endings = new Map<string, Ending>();
  /** The pods that read each request. */
  readonly readers = new Map<string, string[]>();
  readonly #traffic: HeldTraffic;
  readonly #revisions: ReadonlyMap<string, RevisionUnderTest>;
  readonly #table: RouteTable;
  #client: AskingClient | undefined;
  /** Endings that no request may have. */
  readonly #odd: string[] = [];
  #asked = 0;
  #generation = 0;
  #port = 0;

  private constructor(traffic: HeldTraffic, pods: Readonly<Record<string, readonly [weight: number, pods: number]>>) {
    this.#traffic = traffic;
    let address = 1;
    this.#revisions = new Map(
      Object.entries(pods).map(([revision, [weight, count]]) => [
        revision,
        {
          weight,
          addresses: Array.from({ length: count }, () => `127.0.1.${address++}`),
          port: 0,
          pods: [],
          isListed: false,
        },
      ]),
    );
    const { clock } = this;
    const http = new HttpUpstreams({ clock });
    const grpc = new GrpcUpstreams(clock);
    const isHttp = traffic === heldHttp;
    let draws = 0;
    // Every tenth of the draws, in turn.
    const random = () => (draws++ % 10) / 10;
    this.#table = new RouteTable({
      host: '127.0.0.1',
      clock,
      random,
      logger: quietLogger,
      counters: this.counters,
      open: {
        http: (router) => new HttpPort({ router, upstreams: http, clock, random: () => 0.5 }),
        grpc: (router) => new GrpcRelay({ router, upstreams: grpc, clock, random: () => 0.5 }),
      },
      onPool: (pool) => pool.watch(isHttp ? http : grpc),
      onChange: () => undefined,
    });
  }

  static async start(
    traffic: HeldTraffic,
    pods: Readonly<Record<string, readonly [weight: number, pods: number]>>,
    rest: Partial<Route> = {},
  ): Promise<Vanishing> {
    const started = new Vanishing(traffic, pods);
    started.#port = await freePort();
    for (const [name, revision] of started.#revisions) {
      revision.port = await freePort();
      await started.comeBack(name);
    }
    await started.route(Object.fromEntries(Object.entries(pods).map(([name, [weight]]) => [name, weight])), rest);
    started.#client = traffic.client(started.#port);
    return started;
  }

  async route(weights: Readonly<Record<string, number>>, rest: Partial<Route> = {}): Promise<void> {
    const ports = (port: number) => (this.#traffic === heldHttp ? { http: port } : { http: UNUSED_PORT, grpc: port });
    await this.#table.apply(
      'churn',
      JSON.stringify({
        generation: ++this.#generation,
        modelDeployment: 'churn',
        ports: this.#traffic === heldHttp ? { http: this.#port } : { http: await freePort(), grpc: this.#port },
        backends: Object.entries(weights).map(([revision, weight]) => ({
          revision,
          weight,
          ports: ports(this.#revisions.get(revision)?.port ?? 0),
        })),
        limits: { maxBodyBytes: 1_000, maxQueue: 1_000, maxInFlight: MAX_IN_FLIGHT, timeoutMs: 3_600_000 },
        ...rest,
      } satisfies Route),
    );
    if (this.#table.report.refused.churn !== undefined) throw new Error(this.#table.report.refused.churn);
    await this.settled();
  }

  /** Asks, and goes on once the request waits, is held, or has ended. */
  async ask(...ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      this.#asked++;
      void this.#client?.ask(id).then(
        (ending) => this.endings.set(id, ending),
        (error: unknown) => this.#odd.push(String(error)),
      );
    }
    await this.settled();
  }

  async answer(count: number): Promise<void> {
    for (const held of [...this.held.values()].slice(0, count)) {
      this.held.delete(held.id);
      held.answer();
    }
    await this.settled();
  }

  /** The endpoints are gone; its pods, if they live, answer what they have. */
  async unlist(name: string): Promise<void> {
    this.#of(name).isListed = false;
    this.#table.setAddresses(name, []);
    await this.settled();
  }

  /** The pods die, and nobody has said so yet. */
  async kill(name: string): Promise<void> {
    const revision = this.#of(name);
    await this.clock.advance(SETTLED_MS);
    for (const held of [...this.held.values()]) if (held.revision === name) this.held.delete(held.id);
    const { pods } = revision;
    revision.pods = [];
    await Promise.all(pods.map((pod) => pod.kill()));
    await this.settled();
  }

  async comeBack(name: string): Promise<void> {
    const revision = this.#of(name);
    if (revision.pods.length === 0) {
      revision.pods = await Promise.all(
        revision.addresses.map((address) =>
          this.#traffic.pod(name, address, revision.port, (held) => {
            this.readers.set(held.id, [...(this.readers.get(held.id) ?? []), name]);
            this.held.set(held.id, held);
          }),
        ),
      );
    }
    revision.isListed = true;
    this.#table.setAddresses(name, revision.addresses);
    await this.settled();
  }

  get waiting(): number {
    return [...this.#table.revisions()].reduce((sum, { pool }) => sum + pool.waiting, 0);
  }

  get inFlight(): number {
    return [...this.#table.revisions()].reduce((sum, { pool }) => sum + pool.inFlight, 0);
  }

  get unroutable(): number {
    return [...this.#table.unroutable()].reduce((sum, [, requests]) => sum + requests, 0);
  }

  get dead(): readonly string[] {
    return this.#named(({ isListed, pods }) => isListed && pods.length === 0);
  }

  get living(): readonly string[] {
    return this.#named(({ isListed, pods }) => isListed && pods.length > 0);
  }

  /** By revision: requests and errors that were counted, and requests that were passed over. */
  get counts(): Readonly<Record<string, readonly [requests: number, errors: number, passedOver: number]>> {
    return Object.fromEntries(
      [...this.counters.entries()].map(({ revision, counter: { requests, errors, passedOver } }) => [
        revision,
        [requests, errors, passedOver],
      ]),
    );
  }

  async settled(): Promise<void> {
    const left = () => this.#odd.at(-1) ?? this.#asked - this.endings.size - this.held.size - this.waiting;
    await expect.poll(left, { interval: 1, message: 'requests neither wait nor are held' }).toBe(0);
  }

  async close(): Promise<void> {
    await this.#client?.close();
    this.#table.kill();
    await Promise.all([...this.#revisions.values()].flatMap(({ pods }) => pods.map((pod) => pod.kill())));
  }

  #of(name: string): RevisionUnderTest {
    const revision = this.#revisions.get(name);
    if (revision === undefined) throw new Error(`no revision ${name}`);
    return revision;
  }

  #named(wanted: (revision: RevisionUnderTest) => boolean): readonly string[] {
    return [...this.#revisions].filter(([, revision]) => wanted(revision)).map(([name]) => name);
  }
}

let plane: Vanishing | undefined;
afterEach(async () => {
  await plane?.close();
  plane = undefined;
});

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `user-${index}`);

describe.each<[string, HeldTraffic]>([
  ['HTTP/1.1', heldHttp],
  ['gRPC', heldGrpc],
])('requests over %s that wait for a revision whose last endpoint vanishes', (_, traffic) => {
  test('are answered by another revision, and counted there alone', async () => {
    plane = await Vanishing.start(traffic, { canary: [100, 1], stable: [0, 2] });
    await plane.ask(...names(4));
    await plane.route({ canary: 10, stable: 90 });
    await plane.unlist('canary');
    expect(plane.waiting).toBe(0);
    await plane.answer(4);
    expect(new Set(plane.endings.values())).toEqual(new Set(['answered']));
    expect(plane.counts).toEqual({ canary: [2, 0, 2], stable: [2, 0, 0] });
    expect(plane.inFlight).toBe(0);
  });

  test('go where the route sends new requests, so that a user stays together', async () => {
    const sticky: Route['sticky'] = { source: { kind: 'Header', name: 'x-user-id' }, seed: 'churn' };
    const pods = { a: [40, 1], b: [30, 9], c: [30, 9] } as const;
    plane = await Vanishing.start(traffic, pods, { sticky });
    const users = names(20);
    await plane.ask(...users);
    await plane.unlist('a');
    const revisionOf = new Map([...plane.readers].map(([user, [revision]]) => [user, revision]));
    const moved = users.filter((user) => revisionOf.get(user) !== 'a');
    await plane.answer(users.length);
    await plane.ask(...moved.map((user) => `${user}`));
    for (const user of moved) expect(plane.readers.get(user)).toEqual([revisionOf.get(user), revisionOf.get(user)]);
  });

  test('wait for another revision where that is busy too', async () => {
    plane = await Vanishing.start(traffic, { canary: [50, 1], stable: [50, 1] });
    await plane.ask(...names(10));
    await plane.unlist('canary');
    expect([plane.waiting, plane.held.size]).toEqual([6, 4]);
    for (let round = 0; round < 5; round++) await plane.answer(4);
    expect(new Set(plane.endings.values())).toEqual(new Set(['answered']));
    expect(plane.counts).toEqual({ canary: [2, 0, 3], stable: [8, 0, 0] });
  });

  test('are refused at once where no revision has a pod, and counted for none', async () => {
    plane = await Vanishing.start(traffic, { stable: [100, 1] });
    await plane.ask(...names(5));
    await plane.unlist('stable');
    expect([...plane.endings.values()]).toEqual(['unavailable', 'unavailable', 'unavailable']);
    await plane.answer(2);
    expect([plane.counts, plane.unroutable]).toEqual([{ stable: [2, 0, 3] }, 3]);
  });

  test('are answered by the revision that a new route names instead of theirs', async () => {
    plane = await Vanishing.start(traffic, { old: [100, 1], new: [0, 1] });
    await plane.ask(...names(4));
    await plane.route({ new: 100 });
    expect([plane.waiting, plane.held.size]).toEqual([0, 4]);
    await plane.answer(4);
    expect(plane.counts).toEqual({ old: [2, 0, 0], new: [2, 0, 0] });
  });

  test('all pods of the canary die at once, more than are tried one after the other: no request fails', async () => {
    plane = await Vanishing.start(traffic, { canary: [50, 4], stable: [50, 9] });
    await plane.kill('canary');
    await plane.ask(...names(12));
    await plane.answer(12);
    expect(new Set(plane.endings.values())).toEqual(new Set(['answered']));
  });

  const revision = fc.constantFrom('canary', 'stable', 'other');
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('ask'), count: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('answer'), count: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('unlist'), revision }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('kill'), revision }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('comeBack'), revision }) },
  );

  test('whenever endpoints vanish, no request is lost that another could serve, and none is read by two', async () => {
    await fc.assert(
      fc
        .asyncProperty(fc.array(action, { minLength: 4, maxLength: 20 }), async (actions) => {
          const subject = await Vanishing.start(traffic, { canary: [20, 2], stable: [50, 2], other: [30, 1] });
          plane = subject;
          const broken = new Set<string>();
          let asked = 0;
          for (const step of actions) {
            const before = subject.endings.size;
            if (step.kind === 'ask' && 'count' in step)
              await subject.ask(...Array.from({ length: step.count }, () => `user-${asked++}`));
            else if (step.kind === 'answer' && 'count' in step) await subject.answer(step.count);
            else if ('revision' in step) {
              const { kind, revision: name } = step;
              if (kind === 'unlist') await subject.unlist(name);
              else if (kind === 'comeBack') await subject.comeBack(name);
              // One revision's pods may be dead and listed at a time.
              else if (subject.dead.length === 0 && subject.living.includes(name)) {
                for (const held of subject.held.values()) if (held.revision === name) broken.add(held.id);
                await subject.kill(name);
              }
            }
            const refused = [...subject.endings.values()].slice(before).filter((ending) => ending === 'unavailable');
            if (subject.living.length > 0) expect(refused).toEqual([]);
          }
          for (const name of ['canary', 'stable', 'other']) await subject.comeBack(name);
          while (subject.held.size > 0) await subject.answer(subject.held.size);
          expect(subject.endings.size).toBe(asked);
          for (const [id, readers] of subject.readers) expect([id, readers.length]).toEqual([id, 1]);
          const endedAs = (wanted: Ending) =>
            [...subject.endings].filter(([, ending]) => ending === wanted).map(([id]) => id);
          expect(new Set(endedAs('broken'))).toEqual(broken);
          const answered = endedAs('answered').map((id) => subject.readers.get(id)?.[0]);
          for (const [name, [requests, errors]] of Object.entries(subject.counts)) {
            expect([name, requests - errors]).toEqual([name, answered.filter((reader) => reader === name).length]);
          }
          expect([subject.waiting, subject.inFlight]).toEqual([0, 0]);
        })
        .afterEach(async () => {
          await plane?.close();
          plane = undefined;
        }),
      { numRuns: 15 },
    );
  });
});
