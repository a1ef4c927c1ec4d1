import Type, { type Static } from 'typebox';
import { cel, stringMap, text } from '../schema.ts';
import { objectName } from './references.ts';

/** How a ModelDeployment is reached from outside of the cluster. */

const HOSTNAME = '^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$';

function hostname(description: string) {
  return text(253, {
    description,
    ...cel({
      rule: `self.matches('${HOSTNAME}')`,
      message: 'must be a host name, such as churn.example.com or *.example.com: lower-case letters, digits, - and .',
    }),
  });
}

const annotations = (of: string) =>
  Type.Optional(stringMap({ description: `Annotations of the ${of}, by which many implementations are told more.` }));

export const LoadBalancerExposure = Type.Object(
  {
    annotations: annotations('Service'),
    sourceRanges: Type.Optional(
      Type.Array(text(43, { description: 'A range of addresses, such as 203.0.113.0/24.' }), {
        description: 'The only addresses of clients that may come, where the cloud can tell. Default: all.',
        minItems: 1,
        maxItems: 64,
      }),
    ),
  },
  { description: 'A Service of type LoadBalancer, named `<name>-external`: REST on port 80, gRPC on port 9000.' },
);
export type LoadBalancerExposure = Static<typeof LoadBalancerExposure>;

export const IngressExposure = Type.Object(
  {
    host: Type.Optional(hostname('Host name that the Ingress answers to. Default: any.')),
    path: text(512, {
      description:
        'Requests whose path is this one or lies under it are led to the model, with their path as it is: ' +
        '/v2/models/churn, say, lets several models share a host.',
      default: '/',
      ...cel({
        rule: "self.startsWith('/') && !self.contains('//')",
        message: 'must be a path: it starts with / and contains no //',
      }),
    }),
    className: Type.Optional(objectName('IngressClass. Default: the one that the cluster calls its default.')),
    tls: Type.Optional(
      Type.Object(
        { secretName: objectName('Secret with the certificate, in the same namespace (kubernetes.io/tls).') },
        { description: 'Clients come by HTTPS. Default: HTTP.' },
      ),
    ),
    annotations: annotations('Ingress'),
  },
  { description: 'An Ingress of the same name, for REST. (An Ingress has no standard way to say gRPC.)' },
);
export type IngressExposure = Static<typeof IngressExposure>;

const attachment = {
  sectionName: Type.Optional(
    text(253, { description: 'Name of the listener. Default: all that take such routes.', minLength: 1 }),
  ),
  hostnames: Type.Optional(
    Type.Array(hostname('A host name.'), {
      description: 'Host names that the route answers to. Default: those of the listener.',
      minItems: 1,
      maxItems: 16,
    }),
  ),
};

export const GatewayExposure = Type.Object(
  {
    name: objectName('Name of the Gateway, which exists already.'),
    namespace: Type.Optional(
      objectName('Its namespace; its listeners must allow routes of this one. Default: the same.'),
    ),
    ...attachment,
    grpc: Type.Optional(
      Type.Object(attachment, {
        description: 'The place of gRPC on the Gateway, as a GRPCRoute. Default: gRPC is not reached from outside.',
        ...cel({
          rule: 'has(self.sectionName) || has(self.hostnames)',
          message: 'needs a sectionName or hostnames',
        }),
      }),
    ),
  },
  {
    description: 'An HTTPRoute (and a GRPCRoute) on a Gateway of the Gateway API.',
    ...cel({
      rule:
        '!has(self.grpc) || (has(self.grpc.sectionName) && has(self.sectionName) && self.grpc.sectionName != self.sectionName) || ' +
        '(has(self.grpc.hostnames) && has(self.hostnames) && !self.grpc.hostnames.exists(h, h in self.hostnames))',
      message:
        'grpc needs a listener (sectionName) or hostnames that REST does not have: of an HTTPRoute and a GRPCRoute for ' +
        'the same host on one listener a Gateway accepts only one',
      fieldPath: '.grpc',
    }),
  },
);
export type GatewayExposure = Static<typeof GatewayExposure>;

const WAYS = ['loadBalancer', 'ingress', 'gateway'];

export const Expose = Type.Object(
  {
    loadBalancer: Type.Optional(LoadBalancerExposure),
    ingress: Type.Optional(IngressExposure),
    gateway: Type.Optional(GatewayExposure),
  },
  {
    description: 'How clients outside of the cluster reach the model: by one of the three. Default: they do not.',
    ...cel({
      rule: `[${WAYS.map((way) => `has(self.${way})`).join(', ')}].filter(given, given).size() == 1`,
      message: `exactly one of ${WAYS.join(', ')} must be given`,
    }),
  },
);
export type Expose = Static<typeof Expose>;
