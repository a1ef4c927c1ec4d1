import type { Destination, Route } from '../../api/route.ts';
import { type Candidate, Split, type SplitOptions } from './split.ts';
import type { Choice, EnsembleMember, OtherTarget, RequestFields, RequestRouter, Target, Unroutable } from './types.ts';

export type Protocol = 'http' | 'grpc';

export interface PlanSurroundings extends SplitOptions {
  /** Every backend of the route. */
  readonly targets: ReadonlyMap<string, Target>;
  /** What the route of another ModelDeployment of this namespace says; undefined where it has none. */
  readonly planOf: (modelDeployment: string, protocol: Protocol) => OtherPlan | undefined;
}

/** Whom the route of another ModelDeployment chooses. */
type OtherPlan = Pick<RoutePlan, 'target' | 'isEnsemble'>;

/** A revision as the requests of one protocol see it. */
class Revision implements Candidate {
  readonly revision: string;
  readonly target: Target;
  readonly #speaks: boolean;

  constructor(target: Target, speaks: boolean) {
    this.revision = target.revision;
    this.target = target;
    this.#speaks = speaks;
  }

  get isReady(): boolean {
    return this.#speaks && this.target.pool.size > 0;
  }
}

/** What one route says of the requests of one protocol. It never changes; another generation is another plan. */
export class RoutePlan implements RequestRouter {
  readonly #route: Route;
  readonly #protocol: Protocol;
  readonly #surroundings: PlanSurroundings;
  /** The backends that speak the protocol. */
  readonly #speaking: ReadonlyMap<string, Target>;
  readonly #split: Split<Revision>;
  /** Without mirror, and without what depends on the request. */
  readonly #choices: ReadonlyMap<Target, Choice>;
  readonly #mirror: { readonly target: Target; readonly tolerance: number; readonly share: number } | undefined;
  /** Who is asked, only for the fallback to answer, while nobody has an endpoint. */
  readonly #first: Target | undefined;

  constructor(route: Route, protocol: Protocol, surroundings: PlanSurroundings) {
    const { targets } = surroundings;
    this.#route = route;
    this.#protocol = protocol;
    this.#surroundings = surroundings;
    const revisions = new Map<string, Revision>();
    const speaking = new Map<string, Target>();
    for (const { revision, ports } of route.backends) {
      const target = targets.get(revision);
      if (target === undefined) continue;
      revisions.set(revision, new Revision(target, ports[protocol] !== undefined));
      if (ports[protocol] !== undefined) speaking.set(revision, target);
    }
    this.#speaking = speaking;
    this.#split = new Split(route, revisions, surroundings);
    const weighted = route.backends
      .filter(({ weight }) => weight > 0)
      .toSorted((a, b) => b.weight - a.weight)
      .flatMap(({ revision }) => speaking.get(revision) ?? []);
    this.#first = weighted[0];
    this.#choices = new Map(
      [...targets.values()].map((target) => [
        target,
        this.#choice(
          target,
          weighted.filter((other) => other !== target),
        ),
      ]),
    );
    const mirrored = route.mirror && speaking.get(route.mirror.revision);
    this.#mirror =
      route.mirror && mirrored
        ? { target: mirrored, tolerance: route.mirror.tolerance, share: route.mirror.percent / 100 }
        : undefined;
  }

  /** All of its members answer together: no revision of it answers alone. */
  get isEnsemble(): boolean {
    return this.#route.ensemble !== undefined;
  }

  choose(fields: RequestFields, lost?: Target): Choice | Unroutable {
    if (this.#route.ensemble !== undefined) return this.#chooseEnsemble(this.#route.ensemble, fields);
    const target = this.target(fields, lost) ?? (this.#route.fallback === undefined ? undefined : this.#first);
    const choice = target && this.#choices.get(target);
    if (choice === undefined) return { reason: this.#whyNot() };
    const mirror = this.#mirrorOf(choice.target);
    const fallback = this.#fallbackOf(choice.target, fields);
    return mirror === undefined && fallback === undefined ? choice : { ...choice, mirror, fallback };
  }

  /** The revision that answers, as matches, units and weights say; undefined when none of them has an endpoint. */
  target(fields: RequestFields, lost?: Target): Target | undefined {
    return this.#split.choose(fields, lost?.revision)?.target;
  }

  #choice(target: Target, elsewhere: readonly Target[]): Choice {
    const { maxBodyBytes, timeoutMs } = this.#route.limits;
    return Object.freeze({ target, elsewhere, maxBodyBytes, timeoutMs });
  }

  #mirrorOf(target: Target): Choice['mirror'] {
    const mirror = this.#mirror;
    if (mirror === undefined || mirror.target === target || mirror.target.pool.size === 0) return undefined;
    return this.#surroundings.random() < mirror.share ? mirror : undefined;
  }

  #fallbackOf(target: Target, fields: RequestFields): Choice['fallback'] {
    const { fallback } = this.#route;
    if (fallback === undefined) return undefined;
    const other = this.#destination(fallback.to, fields);
    return other === undefined || other.target === target ? undefined : { ...other, afterMs: fallback.afterMs };
  }

  #chooseEnsemble(ensemble: NonNullable<Route['ensemble']>, fields: RequestFields): Choice | Unroutable {
    const members: EnsembleMember[] = [];
    for (const { to, weight } of ensemble.members) {
      const member = this.#destination(to, fields);
      // Fewer members would be another answer, which nobody asked for.
      if (member === undefined || member.target.pool.size === 0) return { reason: this.#whyNotMember(to) };
      members.push({ ...member, weight });
    }
    const [first] = members;
    if (first === undefined) return { reason: this.#whyNot() };
    return { ...this.#choice(first.target, []), ensemble: { members, combine: ensemble.combine } };
  }

  #destination(to: Destination, fields: RequestFields): OtherTarget | undefined {
    if ('revision' in to) {
      const target = this.#speaking.get(to.revision);
      return target && { target };
    }
    const target = this.#planOf(to.modelDeployment)?.target(fields);
    return target && { target, modelName: to.modelName };
  }

  #planOf(modelDeployment: string): OtherPlan | undefined {
    return this.#surroundings.planOf(modelDeployment, this.#protocol);
  }

  #whyNotMember(to: Destination): string {
    if ('revision' in to) return `revision ${to.revision} of the ensemble has no ready pod`;
    const { modelDeployment } = to;
    const plan = this.#planOf(modelDeployment);
    const named = `ModelDeployment ${modelDeployment} of the ensemble`;
    if (plan === undefined) return `${named} has no route: it does not exist, or no router stands before it`;
    return plan.isEnsemble ? `${named} is an ensemble itself` : `${named} has no ready pod`;
  }

  #whyNot(): string {
    const { modelDeployment, backends } = this.#route;
    const shown = backends.map(({ revision, weight, ports }) => {
      const pods =
        ports[this.#protocol] === undefined
          ? `no ${this.#protocol}`
          : `${this.#surroundings.targets.get(revision)?.pool.size ?? 0} ready pods`;
      return `${revision} (weight ${weight}, ${pods})`;
    });
    return `no revision of ${modelDeployment} can answer: ${shown.join(', ')}`;
  }
}
