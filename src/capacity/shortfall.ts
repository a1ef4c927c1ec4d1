/** What is missing for one more pod, in numbers that a person can act on. */
import type { Ledger } from './ledger.ts';
import { mismatch } from './node-match.ts';
import { PODS, type PodDemand } from './pod-demand.ts';
import { formatAmount } from './quantity.ts';
import type { NodeRoom } from './types.ts';

const PRODUCT_LABEL = 'nvidia.com/gpu.product';
const CORE = ['cpu', 'memory', 'ephemeral-storage', PODS];

/**
 * Such as `needs 1 nvidia.com/gpu of NVIDIA-H100: 8 of 8 in use on 1 matching node; 3 nodes lack label
 * nvidia.com/gpu.product=NVIDIA-H100, 1 is cordoned`.
 */
export function nodeShortfall(pod: PodDemand, nodes: readonly NodeRoom[], ledger: Ledger): string {
  const able = nodes.filter((node) => isLargeEnough(pod, node));
  const suitable = able.filter((node) => node.pods !== undefined && mismatch(pod, node) === undefined);
  const scarce = scarceResources(pod, suitable, ledger);
  const needs = `needs ${scarce.map((resource) => amountText(pod, resource)).join(' and ')}${productText(pod)}`;
  const where =
    suitable.length === 0 ? 'no node matches' : scarce.map((each) => useText(each, suitable, ledger)).join(', ');
  const others = otherNodes(pod, nodes);
  return [`${needs}: ${where}`, ...(others === '' ? [] : [others])].join('; ');
}

const isLargeEnough = ({ requests }: PodDemand, { allocatable }: NodeRoom): boolean =>
  [...requests].every(([resource, amount]) => amount === 0n || (allocatable.get(resource) ?? 0n) >= amount);

/** Those that keep the pod off every suitable node alone, or else those that do on any; devices first. */
function scarceResources(pod: PodDemand, suitable: readonly NodeRoom[], ledger: Ledger): readonly string[] {
  const asked = [...pod.requests].filter(([, amount]) => amount > 0n).map(([resource]) => resource);
  const sorted = asked.toSorted((a, b) => CORE.indexOf(a) - CORE.indexOf(b) || (a < b ? -1 : 1));
  const isShort = (resource: string) => (node: NodeRoom) =>
    ledger.free(node, resource, 'soon') < (pod.requests.get(resource) ?? 0n);
  const everywhere = sorted.filter((resource) => suitable.every(isShort(resource)));
  const somewhere = sorted.filter((resource) => suitable.some(isShort(resource)));
  const [first = PODS, ...rest] = everywhere.length > 0 ? everywhere : somewhere.length > 0 ? somewhere : sorted;
  // One that is missing everywhere says enough; several that are missing in turn are all needed to understand it.
  return everywhere.length > 0 || somewhere.length === 0 ? [first] : [first, ...rest];
}

function amountText({ requests }: PodDemand, resource: string): string {
  return resource === PODS ? 'room for 1 pod' : `${formatAmount(resource, requests.get(resource) ?? 0n)} ${resource}`;
}

/** The GPU products that will do, where they are asked for. */
function productText({ nodeSelector, nodeTerms }: PodDemand): string {
  const expressions = nodeTerms?.flatMap(({ matchExpressions = [] }) => matchExpressions) ?? [];
  const wanted = expressions.filter(({ key, operator }) => key === PRODUCT_LABEL && operator === 'In');
  const products = new Set([nodeSelector[PRODUCT_LABEL] ?? [], wanted.flatMap(({ values }) => values ?? [])].flat());
  return products.size === 0 ? '' : ` of ${[...products].join(' or ')}`;
}

function useText(resource: string, suitable: readonly NodeRoom[], ledger: Ledger): string {
  let total = 0n;
  let free = 0n;
  let most = 0n;
  for (const node of suitable) {
    const left = ledger.free(node, resource, 'soon');
    total += node.allocatable.get(resource) ?? 0n;
    if (left > 0n) free += left;
    if (left > most) most = left;
  }
  const amount = (of: bigint) => formatAmount(resource, of);
  const nodes = suitable.length === 1 ? '1 matching node' : `${suitable.length} matching nodes`;
  const fragments = most > 0n && suitable.length > 1 ? ` with at most ${amount(most)} left on one` : '';
  const unit = resource === PODS ? ' pods' : '';
  return `${amount(total - free)} of ${amount(total)}${unit} in use on ${nodes}${fragments}`;
}

/** Nodes that do not come into question, counted by why. */
function otherNodes(pod: PodDemand, nodes: readonly NodeRoom[]): string {
  const counts = new Map<string, { count: number; one: string; many: string }>();
  const note = (key: string, one: string, many: string): void => {
    const noted = counts.get(key) ?? { count: 0, one, many };
    counts.set(key, { ...noted, count: noted.count + 1 });
  };
  for (const node of nodes) {
    const short = [...pod.requests].find(([name, amount]) => amount > (node.allocatable.get(name) ?? 0n));
    const why = mismatch(pod, node);
    if (short !== undefined) {
      const [resource, amount] = short;
      const less = node.allocatable.has(resource) ? `less than ${formatAmount(resource, amount)}` : 'no';
      note(`${less} ${resource}`, `has ${less} ${resource}`, `have ${less} ${resource}`);
    } else if (why?.kind === 'Label') note(why.what, `lacks ${why.what}`, `lack ${why.what}`);
    else if (why?.kind === 'Taint') {
      note(why.what, `has taint ${why.what} that is not tolerated`, `have taint ${why.what} that is not tolerated`);
    } else if (why !== undefined) {
      const word = why.kind === 'Cordoned' ? 'cordoned' : 'not ready';
      note(word, `is ${word}`, `are ${word}`);
    }
  }
  const texts = [...counts.values()].map(({ count, one, many }) => `${count} ${count === 1 ? one : many}`);
  return texts.join(', ').replace(/^([0-9]+) /, (_, count) => `${count} ${count === '1' ? 'node' : 'nodes'} `);
}
