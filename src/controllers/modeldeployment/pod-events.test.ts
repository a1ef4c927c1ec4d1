import { beforeEach, expect, test } from 'vitest';
import { ApiClient } from '../../runtime/api-client.ts';
import { silentLogger } from '../../runtime/testing/cluster.ts';
import { ScriptedApi } from '../../runtime/testing/scripted-api.ts';
import type { Pod } from '../resources.ts';
import { PodEvents } from './pod-events.ts';

const SCHEDULED_AT = '2026-01-01T00:00:00Z';
const scheduledAtMs = Date.parse(SCHEDULED_AT);
const EVENTS_PATH = '/api/v1/namespaces/shop/events';
const FAILED_MOUNT = {
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: 'e' },
  reason: 'FailedMount',
  message: 'MountVolume.SetUp failed for volume "creds" : secret "creds" not found',
  source: { component: 'kubelet' },
  lastTimestamp: SCHEDULED_AT,
};

const pod = (name: string, status: Pod['status'] = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', uid: `uid-${name}`, creationTimestamp: '2025-12-31T00:00:00Z' },
  status: {
    phase: 'Pending',
    conditions: [{ type: 'PodScheduled', status: 'True', lastTransitionTime: SCHEDULED_AT }],
    ...status,
  },
});

let api: ScriptedApi;
let events: PodEvents;
beforeEach(() => {
  api = new ScriptedApi();
  api.lists.set(EVENTS_PATH, { items: [FAILED_MOUNT], resourceVersion: '1' });
  events = new PodEvents();
});

async function after(seconds: number, ...pods: readonly Pod[]) {
  const context = { client: new ApiClient(api, 'test'), log: silentLogger, signal: new AbortController().signal };
  const nowMs = scheduledAtMs + seconds * 1000;
  const { failures, lookAgainAtMs } = await events.mountFailures(pods, context, nowMs);
  return {
    reasons: [...failures].map(([uid, { reason }]) => [uid, reason]),
    asked: api.listed,
    nextInSeconds: lookAgainAtMs === undefined ? undefined : (lookAgainAtMs - nowMs) / 1000,
  };
}

test('a pod that is on its way is not asked about before it has had time', async () => {
  expect(await after(29, pod('a'))).toEqual({ reasons: [], asked: 0, nextInSeconds: 1 });
});

test('a pod that takes long is asked about, and again after half a minute', async () => {
  const found = [['uid-a', 'VolumeMountFailed']];
  expect(await after(30, pod('a'))).toEqual({ reasons: found, asked: 1, nextInSeconds: 30 });
  expect(await after(59, pod('a'))).toEqual({ reasons: found, asked: 1, nextInSeconds: 1 });
  api.lists.clear();
  expect(await after(60, pod('a'))).toEqual({ reasons: [], asked: 2, nextInSeconds: 30 });
});

test('a pod that takes long is asked about again though the clock was put back', async () => {
  expect((await after(7_200, pod('a'))).asked).toBe(1);
  expect(await after(60, pod('a'))).toMatchObject({ asked: 2, nextInSeconds: 30 });
});

test.each<[string, Pod['status']]>([
  ['is ready', { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }],
  ['has no node', { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }] }],
  ['loads its model', { containerStatuses: [{ name: 'server', state: { running: {} } }] }],
  ['has no image', { containerStatuses: [{ name: 'server', state: { waiting: { reason: 'ErrImagePull' } } }] }],
])('a pod that %s is not asked about', async (_rule, status) => {
  expect(await after(3_600, pod('a', status))).toEqual({ reasons: [], asked: 0, nextInSeconds: undefined });
});

test('of many pods the ten that wait longest are asked about, and no other ever', async () => {
  const pods = Array.from({ length: 50 }, (_, index) => pod(`p${index}`));
  expect((await after(30, ...pods)).asked).toBe(10);
  expect((await after(45, ...pods)).asked).toBe(10);
});

test('an API server that does not let Events be read holds nothing up', async () => {
  api.forbidden.add(EVENTS_PATH);
  expect(await after(30, pod('a'))).toEqual({ reasons: [], asked: 1, nextInSeconds: 30 });
});
