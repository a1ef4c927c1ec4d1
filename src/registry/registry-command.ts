import { Command, Option } from 'commander';
import Value from 'typebox/value';
import { FIELD_MANAGER, REGISTRY_NAME } from '../api/names.ts';
import { RegistryConfig } from '../api/registry-answers.ts';
import { MlflowRegistry } from '../integrations/mlflow.ts';
import { environment } from '../options.ts';
import { ApiClient } from '../runtime/api-client.ts';
import { systemClock } from '../runtime/clock.ts';
import { describeError } from '../runtime/outcome.ts';
import { mountedAccess, PodTransport } from '../runtime/pod-transport.ts';
import { defineResource } from '../runtime/types.ts';
import { createLogger, type LogLevel } from '../telemetry/logger.ts';
import { Asking } from './asking.ts';

interface Flags {
  readonly logLevel: LogLevel;
}

const CONFIG_MAPS = defineResource({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
});
const TIMEOUT_MS = 10_000;

/** `fairlead registry`: runs in a tenant's namespace, with the tenant's credentials, and only ever in a pod. */
export const command = new Command('registry')
  .description('Ask an MLflow tracking server what models:/ URIs stand for, and tell the operator')
  .addOption(
    new Option('--log-level <level>', 'least severe level that is logged')
      .choices(['error', 'warn', 'info', 'debug'])
      .default('info'),
  )
  .action(async ({ logLevel }: Flags, self: Command) => {
    const { apiServer, podNamespace: namespace, registryConfig, modelCredentials } = environment;
    if (apiServer === undefined || namespace === undefined) return self.error('error: this is no pod of a cluster');
    let config: RegistryConfig;
    try {
      config = parseConfig(registryConfig);
    } catch (error) {
      return self.error(`error: ${describeError(error)}`);
    }
    const logger = createLogger(logLevel, { role: 'registry', endpoint: config.endpoint });
    const stop = new AbortController();
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort(new Error(signal)));
    const transport = new PodTransport(mountedAccess(apiServer.host, apiServer.port), systemClock);
    const client = new ApiClient(transport, `${FIELD_MANAGER}-registry`);
    const { mlflowUsername: username, mlflowPassword: password, mlflowToken: token } = modelCredentials;
    const registry = new MlflowRegistry({
      endpoint: config.endpoint,
      credentials: { username, password, token },
      timeoutMs: TIMEOUT_MS,
      fetch: globalThis.fetch,
      signal: stop.signal,
    });
    const publish = async (data: Readonly<Record<string, string | null>>) => {
      await client.mergePatch(CONFIG_MAPS, { namespace, name: REGISTRY_NAME }, { data });
    };
    await new Asking({ config, registry, publish, clock: systemClock, random: Math.random, logger }).run(stop.signal);
    await transport.close();
    logger.info(`stopped: ${describeError(stop.signal.reason)}`);
    process.exit(0);
  });

/** @throws Error naming the field that is wrong */
function parseConfig(text: string | undefined): RegistryConfig {
  if (text === undefined) throw new Error('FAIRLEAD_REGISTRY_CONFIG is not set');
  const value: unknown = JSON.parse(text);
  const [first] = Value.Errors(RegistryConfig, value);
  if (first !== undefined) throw new Error(`FAIRLEAD_REGISTRY_CONFIG: ${first.instancePath}: ${first.message}`);
  return Value.Parse(RegistryConfig, value);
}
