import type { KubeConfig } from '@kubernetes/client-node';
import type { Command } from 'commander';
import { ApiClient } from '../runtime/api-client.ts';
import { ApiError } from '../runtime/api-error.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadUserKubeConfig } from '../runtime/kube-config.ts';
import { KubeTransport } from '../runtime/kube-transport.ts';
import { describeError } from '../runtime/outcome.ts';
import { defineResource, type KubeObject } from '../runtime/types.ts';
import { whenReaderStops } from './closed-output.ts';

/** As whom a person works on which cluster: as with kubectl, whose flags and files these are. */

/** Programs that write objects tell the API server this name. */
export const CLI_FIELD_MANAGER = 'fairlead-cli';

export interface ClusterFlags {
  readonly namespace?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
}

export function withClusterFlags(command: Command): Command {
  return command
    .option('-n, --namespace <name>', 'the namespace (default: that of the context)')
    .option('--kubeconfig <file>', 'the kubeconfig (default: as kubectl finds it)')
    .option('--context <name>', 'a context of the kubeconfig (default: its current one)');
}

/** One cluster, and the namespace that is meant where none is named. */
export interface Cluster {
  readonly client: ApiClient;
  readonly namespace: string;
  /** Aborts when nobody reads the output any more, as after `head`: there is nothing left to show. */
  readonly unread: AbortSignal;
  /** The user as the API server knows them. */
  whoAmI(): Promise<string>;
}

/** The command cannot do what was asked; the message is for the person who asked. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

interface SelfSubjectReview extends KubeObject {
  readonly status?: { readonly userInfo?: { readonly username?: string } };
}

const SELF_SUBJECT_REVIEWS = defineResource<SelfSubjectReview>({
  group: 'authentication.k8s.io',
  version: 'v1',
  kind: 'SelfSubjectReview',
  plural: 'selfsubjectreviews',
  namespaced: false,
});

/** Runs `work` on the cluster that the flags mean; what goes wrong ends the program with a sentence and exit code 1. */
export async function onCluster(
  self: Command,
  flags: ClusterFlags,
  work: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const unread = new AbortController();
  whenReaderStops(process.stdout, () => unread.abort());
  let transport: KubeTransport | undefined;
  try {
    const config = loadUserKubeConfig(flags);
    transport = new KubeTransport(config, { clock: systemClock });
    const client = new ApiClient(transport, CLI_FIELD_MANAGER);
    const namespace = flags.namespace ?? namespaceOf(config);
    await work({ client, namespace, unread: unread.signal, whoAmI: () => whoAmI(client) });
  } catch (error) {
    self.error(`error: ${sentenceOf(error)}`);
  } finally {
    await transport?.close();
  }
}

function namespaceOf(config: KubeConfig): string {
  return config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
}

async function whoAmI(client: ApiClient): Promise<string> {
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview', metadata: { name: '' } };
  const username = (await client.create(SELF_SUBJECT_REVIEWS, review)).status?.userInfo?.username;
  if (username === undefined) throw new CommandError('the API server does not say who you are');
  return username;
}

/** What the API server said, without the request that it was said about. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof ApiError)) return describeError(error);
  const { message, status, reason } = error;
  const prefix = `: ${status} ${reason}: `;
  const at = message.indexOf(prefix);
  return at < 0 ? message : message.slice(at + prefix.length);
}
