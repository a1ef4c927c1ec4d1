import { ApiException, CoreV1Api, CustomObjectsApi, KubeConfig } from '@kubernetes/client-node';
import type { JsonObject } from '../crd.ts';
import type { Kind } from '../kind.ts';

/** What the tests of the schemas ask of a real API server. */
export interface ApiServer {
  /** The object as it would be stored; nothing is. @throws Error with the API server's message, less the refused values, on refusal */
  preview(kind: Kind, manifest: JsonObject): Promise<JsonObject>;
  /** @throws Error with the API server's message on refusal */
  create(kind: Kind, manifest: JsonObject): Promise<JsonObject>;
  /** Replaces an object. @throws Error with the API server's message on refusal */
  replace(kind: Kind, object: JsonObject): Promise<JsonObject>;
  replaceStatus(kind: Kind, object: JsonObject): Promise<JsonObject>;
  get(kind: Kind, name: string): Promise<JsonObject>;
  readonly namespace: string;
  /** Deletes the namespace. */
  dispose(): Promise<void>;
}

/** Makes a namespace of its own for a test file. */
export async function connect(kubeconfigPath: string): Promise<ApiServer> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfigPath);
  const core = config.makeApiClient(CoreV1Api);
  const objects = config.makeApiClient(CustomObjectsApi);
  const { metadata } = await core.createNamespace({ body: { metadata: { generateName: 'schema-' } } });
  const namespace = metadata?.name ?? '';
  const at = ({ group, version, plural }: Kind) => ({ group, version, plural, namespace, fieldValidation: 'Strict' });
  const named = (kind: Kind, object: JsonObject) => ({ ...at(kind), name: nameOf(object), body: object });
  const full = (kind: Kind, manifest: JsonObject) => ({
    apiVersion: `${kind.group}/${kind.version}`,
    kind: kind.kind,
    ...manifest,
  });
  return {
    namespace,
    preview: (kind, manifest) =>
      plainly(objects.createNamespacedCustomObject({ ...at(kind), body: full(kind, manifest), dryRun: 'All' })),
    create: (kind, manifest) =>
      plainly(objects.createNamespacedCustomObject({ ...at(kind), body: full(kind, manifest) })),
    replace: (kind, object) => plainly(objects.replaceNamespacedCustomObject(named(kind, object))),
    replaceStatus: (kind, object) => plainly(objects.replaceNamespacedCustomObjectStatus(named(kind, object))),
    get: (kind, name) => plainly(objects.getNamespacedCustomObject({ ...at(kind), name })),
    dispose: async () => {
      await core.deleteNamespace({ name: namespace });
    },
  };
}

function nameOf(object: JsonObject): string {
  return (object as { metadata: { name: string } }).metadata.name;
}

async function plainly(call: Promise<unknown>): Promise<JsonObject> {
  try {
    return (await call) as JsonObject;
  } catch (error) {
    if (error instanceof ApiException) throw new Error(withoutValues(messageOf(error.body)));
    throw error;
  }
}

/** Leaves the value out of `spec.x: Invalid value: "2GiB": must be ...`, so that tests name the field and the rule. */
function withoutValues(message: string): string {
  return message.replaceAll(/Invalid value: "[^"]*": /g, 'Invalid value: ');
}

function messageOf(body: unknown): string {
  const status = typeof body === 'string' ? (JSON.parse(body) as unknown) : body;
  return (status as { message?: string }).message ?? JSON.stringify(status);
}
