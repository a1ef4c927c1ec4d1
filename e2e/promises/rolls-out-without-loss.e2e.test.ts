import { beforeAll, describe, expect, it } from 'vitest';
import {
  kubectl,
  modelDeployment,
  podsOf,
  startModelStore,
  storeUri,
  until,
  untilReady,
  useNamespace,
} from '../environment.ts';
import { condition } from '../kubectl.ts';
import { startLoad } from '../load/load.ts';

const NAME = 'model';
const LOAD = { ratePerSecond: 100, connections: 8 };

describe('changes under load', () => {
  const namespace = useNamespace('e2e-rollout');

  beforeAll(async () => {
    await startModelStore(namespace);
    await kubectl().apply(modelDeployment(namespace, NAME, { replicas: 2 }));
    await untilReady(namespace, NAME);
  });

  it('loses no request in a rolling update', async () => {
    const load = await startLoad(namespace, NAME, LOAD);
    const before = await kubectl().get('md', namespace, NAME);
    await kubectl().patch('md', namespace, NAME, {
      spec: { model: { uri: storeUri(namespace, 'breast-cancer-v2.onnx') } },
    });
    const after = await untilReady(namespace, NAME);
    expect(after.status.stable.revision).not.toBe(before.status.stable.revision);
    // The last old pods may still be draining when the new revision is Ready.
    const old = `fairlead.dev/revision=${before.status.stable.revision}`;
    await kubectl().run(['wait', '--for=delete', 'pod', '-n', namespace, '-l', old, '--timeout=90s']);
    const summary = await load.stop();
    expect(summary.failures).toEqual({});
    expect(summary.ok).toBeGreaterThan(100);
  });

  it('keeps the old revision serving while the new one is broken, and says why', async () => {
    const load = await startLoad(namespace, NAME, LOAD);
    await kubectl().patch('md', namespace, NAME, { spec: { model: { sha256: 'f'.repeat(64) } } });
    const broken = await until(namespace, NAME, (object) => condition(object, 'Ready')?.reason === 'DigestMismatch');
    expect(condition(broken, 'Available')?.status).toBe('True');
    expect(broken.status.stable.ready).toBe(2);
    await kubectl().patch('md', namespace, NAME, { spec: { model: { sha256: null } } });
    await untilReady(namespace, NAME);
    expect((await load.stop()).failures).toEqual({});
  });

  it('loses at most what was on the sockets of a pod that is killed', async () => {
    const load = await startLoad(namespace, NAME, LOAD);
    const [victim] = await podsOf(namespace, NAME);
    const name = String(victim?.metadata.name);
    await kubectl().run(['delete', 'pod', name, '-n', namespace, '--grace-period=0', '--force']);
    await until(namespace, NAME, (object) => object.status.readyReplicas < 2);
    await untilReady(namespace, NAME);
    const summary = await load.stop();
    // A connection that the node refuses until its endpoints follow carried no request: any client may try again.
    const lost = summary.failed - (summary.failures.ECONNREFUSED ?? 0);
    expect(lost, JSON.stringify(summary)).toBeLessThanOrEqual(LOAD.connections);
  });

  it('stops all pods before it starts new ones with Recreate', async () => {
    const revision = (await kubectl().get('md', namespace, NAME)).status.stable.revision;
    await kubectl().patch('md', namespace, NAME, {
      spec: { rollout: { strategy: 'Recreate' }, model: { uri: storeUri(namespace, 'breast-cancer-v1.onnx') } },
    });
    await until(namespace, NAME, (object) => condition(object, 'Available')?.status === 'False');
    const after = await untilReady(namespace, NAME);
    expect(after.status.stable.revision).not.toBe(revision);
  });
});
