/** Which program holds an alias of a Model, as the API server keeps account of it in `managedFields`. Pure. */
import type { Model } from '../kinds.ts';

export interface AliasWriter {
  /** What the program calls itself. */
  readonly manager: string;
  /** Apply: it goes on to declare the value (server-side apply). Update: it wrote it once. */
  readonly operation: string;
  /** When it last changed a field that it holds, RFC 3339. */
  readonly time: string | undefined;
}

/** The program that wrote the alias last, of those that hold it; undefined where the API server does not say. */
export function aliasWriter({ metadata }: Model, alias: string): AliasWriter | undefined {
  const holders = (metadata.managedFields ?? [])
    .filter(({ fieldsV1 }) => fieldsV1?.['f:spec']?.['f:aliases']?.[`f:${alias}`] !== undefined)
    .map(({ manager, operation, time }) => ({ manager: manager ?? 'unknown', operation: operation ?? 'Update', time }));
  return holders.sort((a, b) => ((a.time ?? '') < (b.time ?? '') ? 1 : -1))[0];
}

/** Programs that put an object back to what a repository says, again and again. */
const DEPLOYERS = /^(argo-?cd|kustomize-controller|helm-controller|fleet|config-sync|configsync|sveltos|kapp)/;

/**
 * Whether what is written past this program is soon undone: a deployer from Git, or any program but a person's kubectl
 * that declares the value by server-side apply.
 */
export function declaresAgain({ manager, operation }: AliasWriter): boolean {
  return DEPLOYERS.test(manager) || (operation === 'Apply' && !manager.startsWith('kubectl'));
}
