/** The paths of requests that name a model, as `src/serving/http/routes.ts` understands them. */

const NAMED = /^(\/v2\/models\/|\/(?:batch_)?predict\/)[^/?]+(?:\/versions\/[^/?]+)?(?=[/?]|$)/;
const INFERENCE = /^\/v2\/models\/[^/?]+(?:\/versions\/[^/?]+)?\/infer\/?(?:\?|$)/;

/**
 * A path with its query that asks another model the same. Without the version, which says nothing of that one. What names
 * no model stays as it is.
 */
export function askingFor(modelName: string, path: string): string {
  return path.replace(NAMED, (_, root: string) => root + encodeURIComponent(modelName));
}

/** Whether a path asks for the answer to tensors: the only one that several models can give together. */
export function asksToInfer(path: string): boolean {
  return INFERENCE.test(path);
}
