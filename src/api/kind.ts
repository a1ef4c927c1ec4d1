import type { Static, TSchema } from 'typebox';
import { API_GROUP, API_VERSION } from './names.ts';
import type { ValidationRule } from './schema.ts';

/** What a runtime needs to read and write objects of a kind. */
export interface ResourceIdentity<Kind extends string = string> {
  readonly group: string;
  readonly version: string;
  readonly kind: Kind;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** One column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  readonly description: string;
  /** Columns above 0 show only with `-o wide`. */
  readonly priority?: number;
}

/** JSON paths that `kubectl scale` and an HPA use. */
export interface ScaleSubresource {
  readonly specReplicasPath: string;
  readonly statusReplicasPath: string;
  readonly labelSelectorPath: string;
}

/** A kind in one value: its schema, and what makes a CustomResourceDefinition and reference pages of it. */
export interface Kind<Name extends string = string, Spec extends TSchema = TSchema, Status extends TSchema = TSchema>
  extends ResourceIdentity<Name> {
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly description: string;
  readonly spec: Spec;
  /** Absent where nothing writes one. */
  readonly status?: Status;
  /** CEL rules about the whole object: its name, or its spec against its status. */
  readonly rules: readonly ValidationRule[];
  readonly printerColumns: readonly PrinterColumn[];
  readonly scale?: ScaleSubresource;
}

type Declaration<Name extends string, Spec extends TSchema, Status extends TSchema> = Omit<
  Kind<Name, Spec, Status>,
  'group' | 'version' | 'plural' | 'singular' | 'namespaced' | 'categories'
>;

/** Declares a namespaced kind of `fairlead.dev/v1alpha1`. */
export function defineKind<const Name extends string, Spec extends TSchema, Status extends TSchema>(
  declaration: Declaration<Name, Spec, Status>,
): Kind<Name, Spec, Status> {
  const singular = declaration.kind.toLowerCase();
  return Object.freeze({
    ...declaration,
    group: API_GROUP,
    version: API_VERSION,
    singular,
    plural: `${singular}s`,
    namespaced: true,
    categories: ['fairlead'],
  });
}

/** Metadata of a namespaced object, as the API server's JSON has it; what it fills in is absent before it did. */
export interface ObjectMeta {
  name: string;
  namespace: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
}

/** An object of a kind as the API server returns it: with the schema's defaults filled in. */
export type ObjectOf<K> =
  K extends Kind<infer Name, infer Spec, infer Status>
    ? {
        apiVersion: `${typeof API_GROUP}/${typeof API_VERSION}`;
        kind: Name;
        metadata: ObjectMeta;
        spec: Static<Spec>;
        status?: Static<Status>;
      }
    : never;
