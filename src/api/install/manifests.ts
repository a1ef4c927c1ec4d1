import { fileURLToPath } from 'node:url';
import { loadAll } from 'js-yaml';

/** Where the chart and `config/` are, and what their tests look at in the manifests that come of them. */

const root = fileURLToPath(new URL('../../..', import.meta.url));
export const CHART = `${root}charts/fairlead`;
export const CONFIG = `${root}config`;

/** The fields of manifests that the tests name. */
export interface ManifestObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly rules?: readonly {
    readonly apiGroups: string[];
    readonly resources: string[];
    readonly resourceNames?: string[];
    readonly verbs: string[];
  }[];
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

export interface PodSpec {
  readonly containers: readonly { readonly image: string; readonly args: readonly string[] }[];
  readonly [field: string]: unknown;
}

export function parse(yaml: string): ManifestObject[] {
  return loadAll(yaml).filter((document) => document !== null && document !== undefined) as ManifestObject[];
}

/** The one object of a kind whose name ends so. @throws Error when there is none */
export function find(objects: readonly ManifestObject[], kind: string, nameEnd = ''): ManifestObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name.endsWith(nameEnd));
  if (found === undefined)
    throw new Error(`no ${kind} *${nameEnd} among ${objects.map((each) => each.kind).join(', ')}`);
  return found;
}
