/** A ModelDeployment behind an Ingress: REST alone, since an Ingress has no standard word for gRPC. */
import { PORTS } from '../../../api/names.ts';
import type { IngressExposure } from '../../../api/v1alpha1/expose.ts';
import type { DesiredObject } from '../../../runtime/apply.ts';
import { childMetadata, type Owner } from '../children.ts';
import type { Addresses } from './addresses.ts';

export function desiredIngress(owner: Owner, exposure: IngressExposure): DesiredObject {
  const { host, path, className, tlsSecretRef, annotations } = exposure;
  const service = { name: owner.name, port: { name: PORTS.http.name } };
  return {
    metadata: childMetadata(owner, owner.name, {}, annotations),
    spec: {
      ...(className && { ingressClassName: className }),
      ...(tlsSecretRef && { tls: [{ hosts: [host], secretName: tlsSecretRef.name }] }),
      rules: [{ host, http: { paths: [{ path, pathType: 'Prefix', backend: { service } }] } }],
    },
  };
}

/** Empty where any host of a domain is taken: none of them is known. */
export function ingressAddresses({ host, path, tlsSecretRef }: IngressExposure): Addresses {
  if (host.startsWith('*')) return {};
  return { http: `${tlsSecretRef === undefined ? 'http' : 'https'}://${host}${path === '/' ? '' : path}` };
}
