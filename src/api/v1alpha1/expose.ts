import Type, { type Static } from 'typebox';
import { cel, listSet, stringMap, text } from '../schema.ts';
import { localReference, objectName } from './references.ts';

/** How a model is reached from outside of the cluster. */

const hostname = (description: string) =>
  text(253, {
    description,
    minLength: 1,
    ...cel({
      rule: "self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
      message: 'must be the name of a host: lower-case letters, digits, - and ., perhaps with *. before it',
    }),
  });

export const LoadBalancerExposure = Type.Object(
  {
    annotations: Type.Optional(stringMap({ description: "Annotations of its Service: the cloud's settings." })),
    sourceRanges: Type.Optional(
      Type.Array(
        text(64, {
          description: 'A range of addresses, such as 10.0.0.0/8.',
          ...cel({ rule: 'isCIDR(self)', message: 'must be a range of addresses such as 10.0.0.0/8' }),
        }),
        { description: 'Who may connect. Default: everyone.', minItems: 1, maxItems: 32, ...listSet },
      ),
    ),
  },
  { description: 'A Service of type LoadBalancer, named <name>-external: REST on port 80, gRPC on port 9000.' },
);
export type LoadBalancerExposure = Static<typeof LoadBalancerExposure>;

export const IngressExposure = Type.Object(
  {
    host: hostname('Host whose requests it takes.'),
    path: text(1024, {
      description:
        'Requests whose path is this one or lies under it are taken, and keep their path: /v2/models/churn, say, lets ' +
        'several models share a host.',
      default: '/',
      ...cel({
        rule: "self.startsWith('/') && !self.contains('//')",
        message: 'must start with / and contain no //',
      }),
    }),
    className: Type.Optional(objectName("Name of the IngressClass. Default: the cluster's.")),
    tlsSecretRef: Type.Optional(localReference('Secret with the certificate of the host. Default: no TLS.')),
    annotations: Type.Optional(stringMap({ description: "Annotations of the Ingress: its controller's settings." })),
  },
  { description: 'An Ingress of the same name, for REST: an Ingress has no standard word for gRPC.' },
);
export type IngressExposure = Static<typeof IngressExposure>;

const attachment = {
  sectionName: Type.Optional(objectName('Name of its listener. Default: all that take such routes.')),
  hostnames: Type.Optional(
    Type.Array(hostname('A host.'), {
      description: "Hosts whose requests it takes. Default: the listener's.",
      minItems: 1,
      maxItems: 16,
      ...listSet,
    }),
  ),
};

const differs = (field: string) => `has(self.${field}) && has(self.grpc.${field})`;

export const GatewayExposure = Type.Object(
  {
    name: objectName('Name of the Gateway.'),
    namespace: Type.Optional(
      objectName(
        'Namespace of the Gateway, which must allow routes of this one. Default: that of the ModelDeployment.',
      ),
    ),
    ...attachment,
    grpc: Type.Optional(
      Type.Object(attachment, {
        description:
          'Where on the Gateway gRPC has its place, as a GRPCRoute: a listener or hosts of its own, since of an HTTPRoute ' +
          'and a GRPCRoute for one host on one listener a Gateway accepts only one. Default: gRPC is not published.',
      }),
    ),
  },
  {
    description: 'An HTTPRoute, and a GRPCRoute where grpc is given, of the Gateway API.',
    ...cel({
      rule:
        `!has(self.grpc) || (${differs('sectionName')} && self.sectionName != self.grpc.sectionName) || ` +
        `(${differs('hostnames')} && !self.grpc.hostnames.exists(host, host in self.hostnames))`,
      message: 'grpc needs a sectionName, or hostnames, other than those that are given for REST',
      fieldPath: '.grpc',
    }),
  },
);
export type GatewayExposure = Static<typeof GatewayExposure>;

export const Expose = Type.Object(
  {
    loadBalancer: Type.Optional(LoadBalancerExposure),
    ingress: Type.Optional(IngressExposure),
    gateway: Type.Optional(GatewayExposure),
  },
  { description: 'Publishes the model outside of the cluster, by each that is given.' },
);
export type Expose = Static<typeof Expose>;
