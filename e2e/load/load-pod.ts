import { readFileSync } from 'node:fs';
import type { Kubectl } from '../kubectl.ts';
import { breastCancer } from '../models/data.ts';

export interface LoadSummary {
  readonly sent: number;
  readonly ok: number;
  readonly failed: number;
  /** How often each way to fail was seen. */
  readonly failures: Readonly<Record<string, number>>;
  /** How often each answer was given. */
  readonly answers: Readonly<Record<string, number>>;
}

export interface Load {
  /** Ends the load, waits for the answers that are due, and tells what came of it. */
  stop(): Promise<LoadSummary>;
}

/** The longest that a load goes on when nobody ends it. */
const MAX_DURATION_MS = 180_000;

export interface LoadOptions {
  readonly ratePerSecond: number;
  readonly connections: number;
}

/** Where the load runs: a cluster, and an image there that holds Node. */
export interface LoadPlace {
  readonly kubectl: Kubectl;
  readonly image: string;
  readonly namespace: string;
}

/** Starts a pod that sends single-row requests to a Service of the namespace at a fixed rate, one patient after the other. */
export async function startLoadPod(
  { kubectl, image, namespace }: LoadPlace,
  model: string,
  options: LoadOptions,
): Promise<Load> {
  const name = `load-${model}`;
  const load = {
    url: `http://${model}.${namespace}.svc/v2/models/${model}/infer`,
    bodiesPath: '/load/bodies.json',
    durationMs: MAX_DURATION_MS,
    timeoutMs: 10_000,
    ...options,
  };
  await kubectl.delete('pod', namespace, name);
  await kubectl.apply(
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace },
      data: { 'load.mjs': readFileSync(new URL('./load.mjs', import.meta.url), 'utf8'), 'bodies.json': inferBodies() },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels: { app: 'load' } },
      spec: {
        restartPolicy: 'Never',
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 30,
        securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'load',
            image,
            imagePullPolicy: 'IfNotPresent',
            command: ['node', '/load/load.mjs'],
            env: [{ name: 'LOAD', value: JSON.stringify(load) }],
            resources: { requests: { cpu: '20m', memory: '64Mi' } },
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
            volumeMounts: [{ name: 'load', mountPath: '/load', readOnly: true }],
          },
        ],
        volumes: [{ name: 'load', configMap: { name } }],
      },
    },
  );
  await kubectl.run(['wait', '--for=condition=Ready', `pod/${name}`, '-n', namespace, '--timeout=60s']);
  return {
    async stop() {
      // Not by deleting the pod: its log goes with it, read or not.
      // What tells it to end may be killed with it; whether it has ended is seen next.
      await kubectl
        .run(['exec', name, '-n', namespace, '--', 'node', '-e', "process.kill(1, 'SIGTERM')"])
        .catch(() => undefined);
      const ended = ['--for=jsonpath={.status.phase}=Succeeded', `pod/${name}`, '-n', namespace, '--timeout=60s'];
      await kubectl.run(['wait', ...ended]);
      const logs = await kubectl.run(['logs', name, '-n', namespace]);
      await kubectl.run(['delete', 'pod', name, '-n', namespace, '--wait=false']);
      return JSON.parse(logs.trimEnd().split('\n').at(-1) ?? '') as LoadSummary;
    },
  };
}

/** Bodies of requests to `/v2/models/NAME/infer`: one for each patient that no model was trained on. */
function inferBodies(): string {
  const { rows, features } = breastCancer();
  return JSON.stringify(
    rows.map((data) => ({
      inputs: [{ name: 'x', shape: [1, features.length], datatype: 'FP32', data }],
      outputs: [{ name: 'label' }],
    })),
  );
}
