import type { IncomingHttpHeaders } from 'node:http2';

/** Fields that belong to one connection. Node refuses to send them, and lets some of them in. */
const OF_ONE_CONNECTION = [
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
] as const;

/** The same headers without those that no hop may pass on; without any of them the very same object. */
export function passable(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  if (OF_ONE_CONNECTION.every((name) => headers[name] === undefined)) return headers;
  const rest = { ...headers };
  for (const name of OF_ONE_CONNECTION) delete rest[name];
  return rest;
}
