/** Which route the routers of a namespace apply, from their pods and from what they report. Pure. */
import { ANNOTATIONS } from '../../../api/names.ts';
import type { Lease } from '../../../runtime/kubernetes-resources.ts';
import type { Pod } from '../../resources.ts';
import type { Acknowledgement as GatewayWord } from '../gateway/acknowledgement.ts';

/** One router that runs, and so may send requests. */
export interface LiveRouter {
  readonly name: string;
  readonly uid: string;
  readonly isReady: boolean;
  /** Generations that it applies, by ModelDeployment. */
  readonly applied: Readonly<Record<string, number>>;
  /** Why it does not apply a route, by ModelDeployment. */
  readonly refused: Readonly<Record<string, string>>;
}

export interface Acknowledgement {
  /** Every router that runs applies the generation, or a later one. True where none runs: then none sends anywhere. */
  readonly isComplete: boolean;
  /** Some router would answer: it is ready and applies the generation. */
  readonly hasReadyRouter: boolean;
  /** Which routers do not apply it, and why if they say so; a sentence for people. Undefined when `isComplete`. */
  readonly waitsFor: string | undefined;
}

/** How long a pod may outlast the time at which its node had to end it, before its node is taken for lost. */
const LOST_AFTER_MS = 30_000;
const MAX_NAMED = 3;

/** @param nowMs milliseconds since the Unix epoch */
export function isLive({ metadata, status }: Pod, nowMs: number): boolean {
  if (status?.phase !== 'Running') return false;
  // A container that waits to be started again sends nothing; when it starts it reads the routes that are then.
  if (status.containerStatuses?.some(({ state }) => state?.waiting !== undefined) === true) return false;
  const { deletionTimestamp } = metadata;
  return deletionTimestamp === undefined || nowMs < Date.parse(deletionTimestamp) + LOST_AFTER_MS;
}

/** @param pods all router pods of the namespace */
export function liveRouters(
  pods: readonly Pod[],
  reportOf: (pod: string) => Lease | undefined,
  nowMs: number,
): readonly LiveRouter[] {
  return pods
    .filter((pod) => isLive(pod, nowMs))
    .map((pod) => {
      const { name, uid = '', deletionTimestamp } = pod.metadata;
      const annotations = reportOf(name)?.metadata.annotations ?? {};
      const conditions = pod.status?.conditions ?? [];
      return {
        name,
        uid,
        isReady:
          deletionTimestamp === undefined &&
          conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
        applied: generationsIn(annotations[ANNOTATIONS.appliedRoutes]),
        refused: reasonsIn(annotations[ANNOTATIONS.refusedRoutes]),
      };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function acknowledgementOf(
  routers: readonly LiveRouter[],
  modelDeployment: string,
  generation: number,
): Acknowledgement {
  const applies = ({ applied }: LiveRouter) => (applied[modelDeployment] ?? 0) >= generation;
  const behind = routers.filter((router) => !applies(router));
  return {
    isComplete: behind.length === 0,
    hasReadyRouter: routers.some((router) => router.isReady && applies(router)),
    waitsFor: behind.length === 0 ? undefined : inWords(behind, modelDeployment, generation, routers.length),
  };
}

/** The same of a Gateway, which answers for all of its proxies. */
export function gatewayAcknowledgement(said: GatewayWord | undefined, generation: number): Acknowledgement {
  const isComplete = said?.kind === 'acknowledged' && said.generation >= generation;
  const waiting =
    said === undefined || said.kind === 'acknowledged' ? 'the Gateway has not looked at it' : said.message;
  return { isComplete, hasReadyRouter: isComplete, waitsFor: isComplete ? undefined : waiting };
}

function inWords(behind: readonly LiveRouter[], modelDeployment: string, generation: number, all: number): string {
  const named = behind.slice(0, MAX_NAMED).map(({ name, applied, refused }) => {
    const why = refused[modelDeployment];
    const has = applied[modelDeployment];
    if (why !== undefined) return `${name}, which refuses it: ${why}`;
    return has === undefined ? name : `${name}, which applies generation ${has}`;
  });
  const more = behind.length > named.length ? ` and ${behind.length - named.length} more` : '';
  return `${behind.length} of ${all} routers have not applied route generation ${generation} yet: ${named.join('; ')}${more}`;
}

/** Generations in what a router reports; a report that cannot be read acknowledges nothing. */
export function generationsIn(text: string | undefined): Readonly<Record<string, number>> {
  const entries = Object.entries(objectIn(text));
  return byName(entries.filter((entry): entry is [string, number] => Number.isInteger(entry[1])));
}

function reasonsIn(text: string | undefined): Readonly<Record<string, string>> {
  const entries = Object.entries(objectIn(text));
  return byName(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** Without a prototype, so that a ModelDeployment may be named `constructor`. */
function byName<T>(entries: readonly (readonly [string, T])[]): Readonly<Record<string, T>> {
  return Object.assign(Object.create(null), Object.fromEntries(entries));
}

function objectIn(text: string | undefined): object {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
