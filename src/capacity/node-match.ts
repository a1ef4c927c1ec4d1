/** Whether a node may take a pod at all, whatever is on it: the scheduler's filters that do not count. */
import type { V1NodeSelectorRequirement, V1NodeSelectorTerm, V1Toleration } from '@kubernetes/client-node';
import { own } from '../api/own.ts';
import type { PodDemand } from './pod-demand.ts';
import type { NodeRoom, Taint } from './types.ts';

/** Why a node is out of the question. */
export interface Mismatch {
  readonly kind: 'Label' | 'Taint' | 'NotReady' | 'Cordoned';
  /** What it is about: the label as `key=value`, or the taint. */
  readonly what: string;
}

export const CORDON_TAINT = 'node.kubernetes.io/unschedulable';

/** Undefined when the node suits. What the pod itself asks for is told before what is wrong with the node today. */
export function mismatch(pod: PodDemand, node: NodeRoom): Mismatch | undefined {
  if (pod.nodeName !== undefined && pod.nodeName !== node.name) return { kind: 'Label', what: `name ${pod.nodeName}` };
  for (const [key, value] of Object.entries(pod.nodeSelector)) {
    if (own(node.labels, key) !== value) return { kind: 'Label', what: `label ${key}=${value}` };
  }
  if (pod.nodeTerms?.some((term) => matchesTerm(term, node)) === false) {
    return { kind: 'Label', what: unmet(pod.nodeTerms, node) };
  }
  const cordon: Taint = { key: CORDON_TAINT, effect: 'NoSchedule' };
  if (!node.isSchedulable && !isTolerated(cordon, pod.tolerations)) return { kind: 'Cordoned', what: CORDON_TAINT };
  if (!node.isReady) return { kind: 'NotReady', what: '' };
  const taint = node.taints.find((each) => isHard(each) && !isTolerated(each, pod.tolerations));
  return taint && { kind: 'Taint', what: taint.value ? `${taint.key}=${taint.value}` : taint.key };
}

const isHard = ({ effect }: Taint): boolean => effect === 'NoSchedule' || effect === 'NoExecute';

function isTolerated(taint: Taint, tolerations: readonly V1Toleration[]): boolean {
  return tolerations.some(({ key, operator, value, effect }) => {
    if (effect && effect !== taint.effect) return false;
    if (!key) return operator === 'Exists';
    if (key !== taint.key) return false;
    return operator === 'Exists' || (value ?? '') === (taint.value ?? '');
  });
}

/** All requirements of a term hold; an empty term matches nothing. */
function matchesTerm({ matchExpressions = [], matchFields = [] }: V1NodeSelectorTerm, node: NodeRoom): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  return (
    matchExpressions.every((each) => holds(each, own(node.labels, each.key))) &&
    matchFields.every((each) => holds(each, each.key === 'metadata.name' ? node.name : undefined))
  );
}

function holds({ operator, values = [] }: V1NodeSelectorRequirement, actual: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return actual !== undefined && values.includes(actual);
    case 'NotIn':
      return actual === undefined || !values.includes(actual);
    case 'Exists':
      return actual !== undefined;
    case 'DoesNotExist':
      return actual === undefined;
    case 'Gt':
      return isBeyond(actual, values, (left, right) => left > right);
    case 'Lt':
      return isBeyond(actual, values, (left, right) => left < right);
    default:
      // An operator that is not known here: better no advice than a wrong one.
      return false;
  }
}

const INTEGER = /^-?[0-9]+$/;

function isBeyond(
  actual: string | undefined,
  [bound]: readonly string[],
  compare: (left: bigint, right: bigint) => boolean,
): boolean {
  if (actual === undefined || bound === undefined || !INTEGER.test(actual) || !INTEGER.test(bound)) return false;
  return compare(BigInt(actual), BigInt(bound));
}

/** The first requirement that keeps the node out, of the term that it is nearest to. */
function unmet(terms: readonly V1NodeSelectorTerm[], node: NodeRoom): string {
  const failures = terms.map(({ matchExpressions = [], matchFields = [] }) => [
    ...matchExpressions.filter((each) => !holds(each, own(node.labels, each.key))),
    ...matchFields.filter((each) => !holds(each, each.key === 'metadata.name' ? node.name : undefined)),
  ]);
  const nearest = failures.toSorted((a, b) => a.length - b.length)[0]?.[0];
  return nearest === undefined ? 'any node (an empty affinity term matches none)' : requirementText(nearest);
}

function requirementText({ key, operator, values = [] }: V1NodeSelectorRequirement): string {
  const list = values.join(' or ');
  const word = operator === 'In' ? '=' : ` ${operator} `;
  return values.length === 0 ? `label ${key} (${operator})` : `label ${key}${word}${list}`;
}
