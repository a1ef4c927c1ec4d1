import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApiClient } from '../../runtime/api-client.ts';
import { findCondition } from '../../runtime/conditions.ts';
import type { ApiRequest } from '../../runtime/kube-transport.ts';
import type { ControllerDefinition } from '../../runtime/reconcile-context.ts';
import { startManager } from '../../runtime/testing/cluster.ts';
import { FakeClock, settle } from '../../runtime/testing/fake-clock.ts';
import { ScriptedApi } from '../../runtime/testing/scripted-api.ts';
import type { ModelVersion } from '../kinds.ts';
import { modelVersionController } from './controller.ts';

const PATH = '/apis/fairlead.dev/v1alpha1/namespaces/shop/modelversions';

/** Keeps what is written of the status of each ModelVersion, and tells watches of it. */
class StatusApi extends ScriptedApi {
  readonly #versions = new Map<string, ModelVersion>();
  #resourceVersion = 1;

  override async json(request: ApiRequest): Promise<unknown> {
    const name = /\/modelversions\/([^/]+)\/status/.exec(request.path)?.[1] ?? '';
    const version = this.#versions.get(name);
    if (request.method !== 'PATCH' || version === undefined) return await super.json(request);
    const { status } = request.body as Pick<ModelVersion, 'status'>;
    return this.#put({ ...version, status: { ...version.status, ...status } });
  }

  make(name: string, creationTimestamp: string): void {
    this.#put({
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'ModelVersion',
      metadata: { name, namespace: 'shop', uid: `uid-${name}`, creationTimestamp },
      spec: { model: 'churn', version: '1', uri: `s3://models/${name}/` },
    } as ModelVersion);
  }

  remove(name: string): void {
    const version = this.#versions.get(name);
    if (version === undefined) throw new Error(`there is no ModelVersion ${name}`);
    this.#versions.delete(name);
    this.tell(PATH, 'DELETED', this.#next(version));
  }

  accepted(name: string): string | undefined {
    const condition = findCondition(this.#versions.get(name)?.status?.conditions, 'Accepted');
    return condition && `${condition.status} ${condition.reason}`;
  }

  #put(version: ModelVersion): ModelVersion {
    const put = this.#next(version);
    this.tell(PATH, this.#versions.has(put.metadata.name) ? 'MODIFIED' : 'ADDED', put);
    this.#versions.set(put.metadata.name, put);
    return put;
  }

  #next(version: ModelVersion): ModelVersion {
    this.#resourceVersion += 1;
    return { ...version, metadata: { ...version.metadata, resourceVersion: String(this.#resourceVersion) } };
  }
}

let api: StatusApi;
let running: ReturnType<typeof startManager>;
beforeEach(async () => {
  api = new StatusApi();
  running = startManager({
    client: new ApiClient(api, 'test'),
    clock: new FakeClock(),
    controllers: [modelVersionController({ workers: 1 }) as ControllerDefinition],
    namespaces: ['shop'],
  });
  await settle();
});
afterEach(async () => {
  await running.stop();
});

test('a ModelVersion is meant by its version once the one that claimed it before is gone', async () => {
  api.make('a', '2026-01-01T00:00:00Z');
  await settle();
  api.make('b', '2026-01-02T00:00:00Z');
  await settle();
  expect([api.accepted('a'), api.accepted('b')]).toEqual(['True Accepted', 'False DuplicateVersion']);
  api.remove('a');
  await settle();
  expect(api.accepted('b')).toBe('True Accepted');
});

test('of two ModelVersions that claim a version in the same second one alone is meant, whichever came first', async () => {
  for (const name of ['b', 'a']) {
    api.make(name, '2026-01-01T00:00:00Z');
    await settle();
  }
  expect([api.accepted('a'), api.accepted('b')]).toEqual(['True Accepted', 'False DuplicateVersion']);
});
