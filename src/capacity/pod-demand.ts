/** What one pod asks of a node and of a quota, as the scheduler and the quota admission count it. */
import type { V1Container, V1NodeSelectorTerm, V1PodSpec, V1Toleration } from '@kubernetes/client-node';
import { type Amounts, parseQuantity, roundUp, UNIT } from './quantity.ts';

/** The resource of a node that counts pods. */
export const PODS = 'pods';

export interface PodDemand {
  /** With 1 of `pods`. */
  readonly requests: Amounts;
  readonly limits: Amounts;
  readonly nodeName: string | undefined;
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** One of them must match; undefined: no node is ruled out. */
  readonly nodeTerms: readonly V1NodeSelectorTerm[] | undefined;
  readonly tolerations: readonly V1Toleration[];
  readonly priorityClassName: string | undefined;
  /** Set with `activeDeadlineSeconds`: quotas of scope Terminating count such pods. */
  readonly hasDeadline: boolean;
  /** Why counting room on nodes would not tell where it fits; undefined when it does. */
  readonly uncounted: string | undefined;
  /** Equal for demands that the same nodes suit. */
  readonly placement: string;
}

export function podDemand(spec: V1PodSpec): PodDemand {
  const placement = {
    nodeName: spec.nodeName,
    nodeSelector: spec.nodeSelector ?? {},
    nodeTerms: spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms,
    tolerations: spec.tolerations ?? [],
  };
  return {
    ...placement,
    requests: podRequests(spec),
    limits: podLimits(spec),
    priorityClassName: spec.priorityClassName,
    hasDeadline: spec.activeDeadlineSeconds !== undefined,
    uncounted: uncounted(spec),
    placement: JSON.stringify(placement),
  };
}

/**
 * What the pod takes of a node: for each resource the larger of what its containers and sidecars take together and what
 * it takes at most while it starts, and its overhead (component-helpers `resource.PodRequests`, KEP-753).
 */
export function podRequests(spec: V1PodSpec): Amounts {
  const requests = aggregate(spec, requestsOf, spec.resources?.requests);
  // The scheduler counts whole units, of cpu thousandths.
  const rounded = [...requests].map(([name, amount]) => [name, roundUp(amount, unitOf(name))] as const);
  return new Map([...rounded, [PODS, UNIT]]);
}

function podLimits(spec: V1PodSpec): Amounts {
  return aggregate(spec, ({ resources }) => resources?.limits ?? {}, spec.resources?.limits);
}

const unitOf = (resource: string): bigint => (resource === 'cpu' ? UNIT / 1000n : UNIT);

type Quantities = Readonly<Record<string, string>>;

/** What a container does not request it requests as its limit: the API server says so when it is made. */
function requestsOf({ resources }: V1Container): Quantities {
  return { ...resources?.limits, ...resources?.requests };
}

function aggregate(
  spec: V1PodSpec,
  quantitiesOf: (container: V1Container) => Quantities,
  ofPod: Quantities | undefined,
): Map<string, bigint> {
  const running = new Map<string, bigint>();
  for (const container of spec.containers) add(running, quantitiesOf(container));
  const sidecars = new Map<string, bigint>();
  const starting = new Map<string, bigint>();
  for (const container of spec.initContainers ?? []) {
    const isSidecar = container.restartPolicy === 'Always';
    if (isSidecar) add(sidecars, quantitiesOf(container));
    const now = new Map(sidecars);
    if (!isSidecar) add(now, quantitiesOf(container));
    raise(starting, now);
  }
  for (const [name, amount] of sidecars) running.set(name, (running.get(name) ?? 0n) + amount);
  raise(running, starting);
  // What is said of the whole pod stands in place of the sum over its containers (KEP-2837).
  for (const [name, text] of Object.entries(ofPod ?? {})) running.set(name, parseQuantity(text));
  add(running, spec.overhead ?? {});
  return running;
}

function add(sum: Map<string, bigint>, quantities: Quantities): void {
  for (const [name, text] of Object.entries(quantities)) sum.set(name, (sum.get(name) ?? 0n) + parseQuantity(text));
}

function raise(highest: Map<string, bigint>, amounts: Amounts): void {
  for (const [name, amount] of amounts) if (amount > (highest.get(name) ?? 0n)) highest.set(name, amount);
}

const DEFAULT_SCHEDULER = 'default-scheduler';

function uncounted({
  affinity,
  resourceClaims,
  schedulerName,
  topologySpreadConstraints,
}: V1PodSpec): string | undefined {
  if (resourceClaims !== undefined && resourceClaims.length > 0) return 'its devices are given out by resource claims';
  if (schedulerName !== undefined && schedulerName !== DEFAULT_SCHEDULER) return `scheduler ${schedulerName} places it`;
  const { podAffinity, podAntiAffinity } = affinity ?? {};
  const terms = [podAffinity, podAntiAffinity].flatMap(
    (of) => of?.requiredDuringSchedulingIgnoredDuringExecution ?? [],
  );
  if (terms.length > 0) return 'where it may be depends on other pods (required pod affinity or anti-affinity)';
  const spread = topologySpreadConstraints?.some(({ whenUnsatisfiable }) => whenUnsatisfiable === 'DoNotSchedule');
  return spread === true ? 'where it may be depends on other pods (a spread that is required)' : undefined;
}
