/** What must be true of every decision on a model cluster, and ways to run one. */
import { withDefaults } from '../../api/defaults.ts';
import { ModelDeployment } from '../../api/v1alpha1/model-deployment.ts';
import { compileRollout, isStepped } from '../compile.ts';
import { carriedWeight, floorOf, leastPods } from '../sizing.ts';
import type { CompiledRollout } from '../types.ts';
import { ModelCluster, type ModelOptions, type Written } from './model-cluster.ts';

/** `spec.rollout` as the API server returns it, compiled. */
export function rolloutOf(fields: object): CompiledRollout {
  const manifest = { metadata: { name: 'churn', namespace: 'shop' }, spec: { rollout: fields } };
  return compileRollout(withDefaults(ModelDeployment, manifest).spec.rollout);
}

/** A cluster where revision `a` has all of the traffic and `b` is wanted. */
export function rollingOut(options: Partial<ModelOptions> & { readonly rollout: CompiledRollout }): ModelCluster {
  const cluster = new ModelCluster({ replicas: 4, places: 100, startTicks: 2, ackTicks: 1, ...options });
  run(cluster, { until: () => cluster.progress?.stage === 'Done' });
  cluster.target = 'b';
  return cluster;
}

export interface Running {
  readonly until?: () => boolean;
  readonly ticks?: number;
  /** Writes after which the operator dies, by reconcile. */
  readonly deaths?: readonly (number | undefined)[];
  /** What happens before a reconcile. */
  readonly happens?: (tick: number) => void;
}

/** Runs to a condition, or so many ticks; holds every decision to what must always be true. */
export function run(cluster: ModelCluster, { until, ticks = 400, deaths = [], happens }: Running = {}): Written[] {
  const log: Written[] = [];
  for (let tick = 0; tick < ticks; tick++) {
    if (until?.() === true) return log;
    happens?.(tick);
    const written = cluster.reconcile(deaths[tick]);
    const broken = brokenInvariant(cluster, written);
    if (broken !== undefined) throw new Error(`${broken}\n${historyOf([...log, written])}`);
    log.push(written);
    cluster.pass();
  }
  if (until !== undefined) throw new Error(`it does not end:\n${historyOf(log)}`);
  return log;
}

/** The last decisions, for a person who looks for what went wrong. */
function historyOf(log: readonly Written[]): string {
  const line = ({ decision, snapshot }: Written) => {
    const { progress, route, replicas, report } = decision;
    const pods = snapshot.revisions.map(({ name, ready, replicas: asked }) => `${name} ${ready}/${asked}`).join(' ');
    const weights = [...(route?.weights ?? [])].map(([name, weight]) => `${name}:${weight}`).join(' ');
    const next = [...replicas].map(([name, count]) => `${name}=${count}`).join(' ');
    const ack = snapshot.route?.isAcknowledged === true ? 'ack' : '-';
    return `${progress.stage} ${report.step ?? ''} | ${pods} | ${weights} ${ack} | ${next} | ${snapshot.advice?.kind ?? ''} | ${report.message}`;
  };
  return log.slice(-8).map(line).join('\n');
}

export function brokenInvariant(cluster: ModelCluster, { decision, snapshot }: Written): string | undefined {
  const { route, replicas, progress, report } = decision;
  if (route === undefined) return undefined;
  const total = [...route.weights.values()].reduce((sum, weight) => sum + weight, 0);
  if (total !== 100) return `weights add up to ${total}`;
  const elsewhere = cluster.routes.find(({ weights }) => (weights.get(progress.target) ?? 0) < 100);
  if (report.outcome === 'Complete' && elsewhere !== undefined) {
    return `complete while routers may send ${100 - (elsewhere.weights.get(progress.target) ?? 0)}% elsewhere`;
  }
  // What an autoscaler had chosen when the rollout began is what it goes by.
  const wanted = snapshot.scale.kind === 'Fixed' ? cluster.replicas : (progress.frozen ?? cluster.replicas);
  const floor = floorOf(snapshot.rollout, wanted);
  const isSwapping = progress.isSwapping === true || snapshot.advice?.kind === 'Swap';
  const base = isSwapping ? floor : wanted;
  const before = snapshot.route?.weights.get(progress.target) ?? 0;
  const after = route.weights.get(progress.target) ?? 0;
  const from = snapshot.revisions.find(({ name }) => name === progress.from);
  const goesByStep = progress.stage === 'Stepping' && isStepped(snapshot.rollout.strategy);
  if (goesByStep && from !== undefined && from.ready > 0 && after > before) {
    const canary = snapshot.revisions.find(({ name }) => name === progress.target);
    const ready = Math.min(canary?.ready ?? 0, canary?.replicas ?? 0);
    const percent = snapshot.rollout.steps[progress.step]?.percent ?? 0;
    if (carriedWeight(ready, base) < after) return `weight ${after} on ${ready} of ${base} pods`;
    if (after > percent) return `weight ${after} in a step of ${percent}`;
  }
  for (const revision of snapshot.revisions) {
    const planned = replicas.get(revision.name) ?? 0;
    if (planned >= revision.replicas || !isStepped(snapshot.rollout.strategy)) continue;
    const possible = [...cluster.routes.map(({ weights }) => weights), route.weights];
    const weight = Math.max(...possible.map((weights) => weights.get(revision.name) ?? 0));
    const ready = Math.min(revision.ready, revision.replicas);
    if (Math.min(ready, planned) < Math.min(ready, leastPods(weight, floor))) {
      return `${revision.name} is shrunk to ${planned} of ${ready} ready pods while routers may send it ${weight}%`;
    }
  }
  return undefined;
}
