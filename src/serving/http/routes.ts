import { InferenceError, quoted } from '../inference-error.ts';

/** A model as the client named it, decoded; absent where the path names none. */
export interface ModelName {
  readonly model: string | undefined;
  readonly version: string | undefined;
}

export interface PredictRoute extends ModelName {
  readonly kind: 'infer' | 'predict' | 'batch-predict';
}

/** What a path asks for. */
export type Route =
  | { readonly kind: 'server-metadata' | 'live' | 'ready' | 'health' }
  | ({ readonly kind: 'model-metadata' | 'model-ready' } & ModelName)
  | PredictRoute;

export function isPredictRoute(route: Route): route is PredictRoute {
  return route.kind === 'infer' || route.kind === 'predict' || route.kind === 'batch-predict';
}

/** Paths with names in them that were understood before; most servers see only a few. */
const MAX_REMEMBERED = 1000;
const MAX_REMEMBERED_CHARS = 300;

/** Understands request targets, each once: the same few come again and again. */
export class Router {
  readonly #remembered = new Map<string, Route>();

  /** @throws InferenceError NotFound when nothing lives at the path. */
  route(target: string): Route {
    const remembered = this.#remembered.get(target);
    if (remembered !== undefined) return remembered;
    const route = parseTarget(target);
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    if (target.length <= MAX_REMEMBERED_CHARS) this.#remembered.set(target, route);
    return route;
  }
}

/** The method a route answers to. */
export function methodOf(route: Route): 'GET' | 'POST' {
  return isPredictRoute(route) ? 'POST' : 'GET';
}

function parseTarget(target: string): Route {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  const segments = path.split('/').slice(1).map(decode);
  if (segments.at(-1) === '') segments.pop();
  const route = parseSegments(segments);
  if (route === undefined) throw new InferenceError('NotFound', `nothing lives at ${quoted(path)}`);
  return route;
}

function parseSegments([root, ...rest]: readonly string[]): Route | undefined {
  if (root === 'health' && rest.length === 0) return { kind: 'health' };
  if (root === 'predict' || root === 'batch_predict') {
    const named = parseModel(rest);
    if (named === undefined || named.rest.length > 0) return undefined;
    return { kind: root === 'predict' ? 'predict' : 'batch-predict', model: named.model, version: named.version };
  }
  if (root !== 'v2') return undefined;
  const [area, ...names] = rest;
  if (area === undefined) return { kind: 'server-metadata' };
  if (area === 'health' && names.length === 1) {
    if (names[0] === 'live') return { kind: 'live' };
    return names[0] === 'ready' ? { kind: 'ready' } : undefined;
  }
  const named = area === 'models' ? parseModel(names) : undefined;
  if (named?.model === undefined || named.rest.length > 1) return undefined;
  const { model, version } = named;
  const [action] = named.rest;
  if (action === undefined) return { kind: 'model-metadata', model, version };
  if (action === 'ready') return { kind: 'model-ready', model, version };
  return action === 'infer' ? { kind: 'infer', model, version } : undefined;
}

/** `[MODEL[/versions/VERSION]]` and what follows; undefined where a name is empty. */
function parseModel(segments: readonly string[]): (ModelName & { readonly rest: readonly string[] }) | undefined {
  const [model, keyword, version, ...others] = segments;
  if (model === '' || (keyword === 'versions' && (version === undefined || version === ''))) return undefined;
  if (keyword === 'versions') return { model, version, rest: others };
  return { model, version: undefined, rest: segments.slice(1) };
}

function decode(segment: string): string {
  try {
    return segment.includes('%') ? decodeURIComponent(segment) : segment;
  } catch {
    throw new InferenceError('NotFound', `${quoted(segment)} in the path is not percent-encoded UTF-8`);
  }
}
