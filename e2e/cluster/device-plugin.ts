/**
 * A device plugin that offers GPUs that are not there, run as `node device-plugin.ts RESOURCE COUNT`: so a real node
 * schedules pods by `nvidia.com/gpu`, whose containers see no device but the variable `NVIDIA_VISIBLE_DEVICES`.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Client,
  credentials,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { DEVICE_PLUGIN_DIRECTORY } from './node.ts';

const API_VERSION = 'v1beta1';
const KUBELET_SOCKET = join(DEVICE_PLUGIN_DIRECTORY, 'kubelet.sock');
const RECONNECT_INTERVAL_MS = 500;

const proto = await protobuf.load(fileURLToPath(new URL('device-plugin.proto', import.meta.url)));

function method(service: string, name: string): MethodDefinition<object, object> {
  const {
    requestType,
    responseType,
    responseStream = false,
  } = proto.lookupService(`${API_VERSION}.${service}`).methods[name] ?? {};
  const request = proto.lookupType(`${API_VERSION}.${requestType}`);
  const response = proto.lookupType(`${API_VERSION}.${responseType}`);
  return {
    path: `/${API_VERSION}.${service}/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: (value) => Buffer.from(request.encode(request.fromObject(value)).finish()),
    requestDeserialize: (bytes) => request.toObject(request.decode(bytes)),
    responseSerialize: (value) => Buffer.from(response.encode(response.fromObject(value)).finish()),
    responseDeserialize: (bytes) => response.toObject(response.decode(bytes)),
  };
}

interface AllocateRequest {
  readonly containerRequests?: readonly { readonly devicesIds?: readonly string[] }[];
}

const [resource = '', count = ''] = process.argv.slice(2);
if (!/^[^/]+\/[^/]+$/.test(resource) || !(Number(count) > 0)) {
  throw new Error(`expected a resource name and a positive number of devices, got '${resource}' and '${count}'`);
}
const devices = Array.from({ length: Number(count) }, (_, index) => ({ ID: `fake-${index}`, health: 'Healthy' }));

const getDevicePluginOptions: handleUnaryCall<object, object> = (_call, reply) => reply(null, {});
const listAndWatch: handleServerStreamingCall<object, object> = (call) => {
  // The stream stays open: its end would tell the kubelet that the devices are gone.
  call.write({ devices });
};
const allocate: handleUnaryCall<AllocateRequest, object> = (call, reply) => {
  const containerResponses = (call.request.containerRequests ?? []).map(({ devicesIds = [] }) => ({
    envs: { NVIDIA_VISIBLE_DEVICES: devicesIds.join(',') },
  }));
  reply(null, { containerResponses });
};

const definition: ServiceDefinition = {
  GetDevicePluginOptions: method('DevicePlugin', 'GetDevicePluginOptions'),
  ListAndWatch: method('DevicePlugin', 'ListAndWatch'),
  Allocate: method('DevicePlugin', 'Allocate'),
};
const implementation: UntypedServiceImplementation = {
  GetDevicePluginOptions: getDevicePluginOptions,
  ListAndWatch: listAndWatch,
  Allocate: allocate,
};

/** Offers the devices to the kubelet that made the socket. */
async function register(): Promise<Server> {
  const endpoint = `fairlead-${resource.replaceAll(/[^a-z0-9]/g, '-')}.sock`;
  const path = join(DEVICE_PLUGIN_DIRECTORY, endpoint);
  await rm(path, { force: true });
  const server = new Server();
  server.addService(definition, implementation);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  const registration = method('Registration', 'Register');
  const kubelet = new Client(`unix:${KUBELET_SOCKET}`, credentials.createInsecure());
  await new Promise<void>((resolve, reject) => {
    kubelet.makeUnaryRequest(
      registration.path,
      registration.requestSerialize,
      registration.responseDeserialize,
      { version: API_VERSION, endpoint, resourceName: resource },
      (error) => (error ? reject(error) : resolve()),
    );
  }).finally(() => kubelet.close());
  console.log(`offers ${devices.length} ${resource}`);
  return server;
}

/** A kubelet that starts anew makes a new socket and forgets its plugins, which must register again. */
let registeredInode = 0;
let server: Server | undefined;
let busy = false;
setInterval(async () => {
  const inode = (await stat(KUBELET_SOCKET).catch(() => undefined))?.ino ?? 0;
  if (busy || inode === 0 || inode === registeredInode) return;
  busy = true;
  try {
    server?.forceShutdown();
    server = await register();
    registeredInode = inode;
  } catch (error) {
    console.error('registration failed, tries again:', error);
  } finally {
    busy = false;
  }
}, RECONNECT_INTERVAL_MS);
