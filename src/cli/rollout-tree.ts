/** A rollout as a person wants to see it: what serves, what is coming, how far it is, and what it waits for. Pure. */
import type { CanaryRevision, MetricResult, StableRevision } from '../api/v1alpha1/model-deployment-status.ts';
import type { ModelDeployment } from '../controllers/kinds.ts';
import { diagnosePod } from '../controllers/modeldeployment/diagnose.ts';
import type { Pod } from '../controllers/resources.ts';
import { elapsed } from './elapsed.ts';
import type { Span, Tone, TreeNode } from './tree.ts';

export interface RolloutView {
  readonly object: ModelDeployment;
  /** Pods of each revision, by its name. */
  readonly pods: ReadonlyMap<string, readonly Pod[]>;
  readonly nowMs: number;
}

/** More pods of a revision that are alike are one line. */
const PODS_SHOWN = 12;

export function rolloutTree(view: RolloutView): TreeNode {
  const { object, nowMs } = view;
  const { metadata, status } = object;
  if (status === undefined) {
    const line = [
      strong(metadata.name),
      { text: '  nothing is known yet: is the operator running?', tone: 'busy' as const },
    ];
    return { line, children: [] };
  }
  const isStale = status.observedGeneration !== metadata.generation;
  return {
    line: [
      strong(metadata.name),
      ...phaseSpans(status.phase),
      text(status.summary?.model ?? status.model?.uri),
      text(status.address?.http),
      ...(isStale
        ? [{ text: '  (the operator has not seen the last change of the spec yet)', tone: 'busy' as const }]
        : []),
    ],
    children: [
      ...canaryNode(view),
      ...stableNode(view),
      ...otherNodes(view),
      ...stepNode(view),
      ...verdictNode(view),
      ...conditionNodes(object),
      ...routeNode(object),
      ...failedNode(object, nowMs),
      ...actionNode(object, nowMs),
    ],
  };
}

function canaryNode(view: RolloutView): readonly TreeNode[] {
  const { canary } = view.object.status ?? {};
  return canary === undefined ? [] : [revisionNode('canary', canary, canary.weight, view)];
}

function stableNode(view: RolloutView): readonly TreeNode[] {
  const { stable, canary } = view.object.status ?? {};
  if (stable === undefined) return [];
  const weight = canary === undefined ? 100 : canary.weight === undefined ? undefined : 100 - canary.weight;
  return [revisionNode('stable', stable, weight, view)];
}

/** Revisions that only pods tell of: one that was taken back, say, whose pods are ending. */
function otherNodes({ object, pods, nowMs }: RolloutView): readonly TreeNode[] {
  const told = new Set([object.status?.stable?.revision, object.status?.canary?.revision]);
  return [...pods]
    .filter(([revision, of]) => !told.has(revision) && of.length > 0)
    .map(([revision, of]) => ({ line: [{ text: `older   ${revision}` }], children: podNodes(of, nowMs) }));
}

function revisionNode(
  role: 'canary' | 'stable',
  { revision, version, replicas, ready }: StableRevision | CanaryRevision,
  weight: number | undefined,
  { pods, nowMs }: RolloutView,
): TreeNode {
  return {
    line: [
      { text: `${role}  ` },
      strong(revision),
      text(version === undefined ? undefined : `version ${version}`),
      text(weight === undefined ? undefined : `${weight}% of the traffic`),
      { text: `  ${ready}/${replicas} ready`, tone: ready >= replicas ? 'good' : 'busy' },
    ],
    children: podNodes(pods.get(revision) ?? [], nowMs),
  };
}

interface PodState {
  readonly text: string;
  readonly tone: Tone;
  readonly isReady: boolean;
}

function podState(pod: Pod): PodState {
  if (pod.metadata.deletionTimestamp !== undefined) return { text: 'ending', tone: 'faint', isReady: false };
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
  if (ready) return { text: 'ready', tone: 'good', isReady: true };
  const found = diagnosePod(pod);
  if (found === undefined) return { text: pod.status?.phase ?? 'Pending', tone: 'busy', isReady: false };
  return { text: `${found.reason}: ${found.message}`, tone: found.kind === 'failed' ? 'bad' : 'busy', isReady: false };
}

/** Those that are not ready first: they are what one looks for. */
function podNodes(pods: readonly Pod[], nowMs: number): readonly TreeNode[] {
  const states = pods
    .map((pod) => ({ pod, state: podState(pod) }))
    .sort(
      (a, b) =>
        Number(a.state.isReady) - Number(b.state.isReady) || (a.pod.metadata.name < b.pod.metadata.name ? -1 : 1),
    );
  const nodes = states.slice(0, PODS_SHOWN).map(({ pod, state }): TreeNode => {
    const made = Date.parse(pod.metadata.creationTimestamp ?? '');
    const age = Number.isNaN(made) ? '' : `  ${elapsed(nowMs - made)}`;
    return {
      line: [{ text: `${pod.metadata.name}  ` }, { text: state.text, tone: state.tone }, { text: age, tone: 'faint' }],
      children: [],
    };
  });
  const hidden = states.slice(PODS_SHOWN);
  if (hidden.length === 0) return nodes;
  const ready = hidden.filter(({ state }) => state.isReady).length;
  return [
    ...nodes,
    { line: [{ text: `and ${hidden.length} more, ${ready} of them ready`, tone: 'faint' }], children: [] },
  ];
}

function stepNode({ object, nowMs }: RolloutView): readonly TreeNode[] {
  const { rollout } = object.status ?? {};
  if (rollout === undefined) return [];
  const { step, paused, holdUntil, message } = rollout;
  const leftMs = holdUntil === undefined ? undefined : Date.parse(holdUntil) - nowMs;
  const hold =
    leftMs === undefined ? undefined : leftMs > 0 ? `${elapsed(leftMs)} of its hold left` : 'its hold is over';
  const waiting = paused === undefined ? [] : [{ text: `  paused: ${paused}`, tone: 'busy' as const }];
  return [
    {
      line: [{ text: step === undefined ? 'rollout' : `step ${step}` }, text(hold), ...waiting],
      children: message === undefined || message === '' ? [] : [leaf(message)],
    },
  ];
}

function verdictNode({ object }: RolloutView): readonly TreeNode[] {
  const { verdict, metrics } = object.status?.rollout ?? {};
  if (verdict === undefined) return [];
  return [{ line: [{ text: 'verdict  ' }, verdictSpan(verdict)], children: metricNodes(metrics ?? []) }];
}

function metricNodes(metrics: readonly MetricResult[]): readonly TreeNode[] {
  const width = (of: (metric: MetricResult) => string) => Math.max(0, ...metrics.map((metric) => of(metric).length));
  const names = width(({ name }) => name);
  const verdicts = width(({ verdict }) => verdict);
  return metrics.map((metric): TreeNode => {
    const { name, verdict, canary, stable, bounds, threshold, message, dryRun } = metric;
    const numbers = [
      canary && `canary ${canary}`,
      stable && `stable ${stable}`,
      bounds && `bounds ${bounds}`,
      threshold && `allowed ${threshold}`,
      dryRun === true && 'dry run: it has no say',
    ].filter((part) => typeof part === 'string' && part !== '');
    const span = verdictSpan(verdict);
    return {
      line: [
        { text: `${name.padEnd(names)}  ` },
        { ...span, text: span.text.padEnd(verdicts) },
        { text: numbers.length === 0 ? '' : `  ${numbers.join(', ')}` },
      ],
      // The numbers say why it is healthy; of anything else one wants the arithmetic.
      children: message === undefined || verdict === 'Healthy' ? [] : [leaf(message, 'faint')],
    };
  });
}

/** Conditions that are not as they should be: what it waits for, and why. */
function conditionNodes({ status }: ModelDeployment): readonly TreeNode[] {
  const failing = (status?.conditions ?? []).filter((condition) => condition.status !== 'True');
  // What one condition says the others need not repeat.
  const told = new Set([status?.rollout?.message]);
  return failing.flatMap(({ type, reason, message, status: is }) => {
    if (type === 'Progressing' && reason === 'Complete') return [];
    if (told.has(message)) return [];
    told.add(message);
    return [
      { line: [{ text: `${type} is ${is}: ` }, { text: reason, tone: 'busy' as const }], children: [leaf(message)] },
    ];
  });
}

function routeNode({ status }: ModelDeployment): readonly TreeNode[] {
  const route = status?.route;
  if (route === undefined) return [];
  const state: Span = route.acknowledged
    ? { text: 'every router applies it', tone: 'good' }
    : { text: 'not every router applies it yet', tone: 'busy' };
  const children = route.message === undefined ? [] : [leaf(route.message)];
  return [{ line: [{ text: `route ${route.generation}  ` }, state], children }];
}

function failedNode({ status }: ModelDeployment, nowMs: number): readonly TreeNode[] {
  const failed = status?.failedRevision;
  if (failed === undefined) return [];
  const line = [
    { text: 'taken back  ' },
    strong(failed.revision),
    { text: `  ${failed.reason}`, tone: 'bad' as const },
    { text: `  ${ago(failed.at, nowMs)}`, tone: 'faint' as const },
  ];
  return [{ line, children: [leaf(failed.message)] }];
}

function actionNode({ status }: ModelDeployment, nowMs: number): readonly TreeNode[] {
  const last = status?.lastHandledAction;
  if (last === undefined) return [];
  const line = [
    { text: `last action  ${last.action}  ` },
    { text: last.result, tone: last.result === 'Done' ? ('good' as const) : ('bad' as const) },
    { text: `  ${last.by === undefined ? '' : `by ${last.by}, `}${ago(last.at, nowMs)}`, tone: 'faint' as const },
  ];
  return [{ line, children: last.message === undefined ? [] : [leaf(last.message)] }];
}

const PHASE_TONES: Readonly<Record<string, Tone>> = { Ready: 'good', RolledBack: 'bad', Failed: 'bad' };
const VERDICT_TONES: Readonly<Record<string, Tone>> = { Healthy: 'good', Unhealthy: 'bad', Error: 'bad' };

function phaseSpans(phase: string | undefined): readonly Span[] {
  return phase === undefined ? [] : [{ text: `  ${phase}`, tone: PHASE_TONES[phase] ?? 'busy' }];
}

function verdictSpan(verdict: string): Span {
  return { text: verdict, tone: VERDICT_TONES[verdict] ?? 'busy' };
}

function strong(content: string): Span {
  return { text: content, tone: 'strong' };
}

function text(content: string | undefined): Span {
  return { text: content === undefined ? '' : `  ${content}` };
}

function leaf(content: string, tone?: Tone): TreeNode {
  return { line: [{ text: content, ...(tone && { tone }) }], children: [] };
}

function ago(time: string, nowMs: number): string {
  return `${elapsed(Math.max(0, nowMs - Date.parse(time)))} ago`;
}
