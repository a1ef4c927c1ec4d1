import { networkInterfaces } from 'node:os';

/** All addresses of this machine; IPv6's takes IPv4 as well, where there is IPv6. */
export function anyAddress(): string {
  const addresses = Object.values(networkInterfaces()).flat();
  return addresses.some((address) => address?.family === 'IPv6') ? '::' : '0.0.0.0';
}
