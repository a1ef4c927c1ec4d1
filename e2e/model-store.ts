import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** Serves the files of a folder over HTTP; runs in a pod of the Fairlead image, which holds Node and nothing else. */
const SERVER_SOURCE = `
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename } from 'node:path';
createServer((request, response) => {
  const path = '/models/' + basename(new URL(request.url, 'http://store').pathname);
  let size;
  try {
    size = statSync(path).size;
  } catch {
    response.writeHead(404).end('no such model\\n');
    return;
  }
  response.writeHead(200, { 'content-length': size, 'content-type': 'application/octet-stream' });
  if (request.method === 'HEAD') response.end();
  else createReadStream(path).pipe(response);
}).listen(8080);
`;

export const MODELS_FOLDER = new URL('./models/', import.meta.url);

export function readModel(file: string): Buffer {
  return readFileSync(new URL(file, MODELS_FOLDER));
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * A small model store inside a cluster: a pod that serves `files` (at most 1 MiB in all, they travel in a ConfigMap) as
 * `http://model-store.<namespace>.svc/<file>`. Stands in for the bucket that a user has.
 */
export function modelStore(namespace: string, image: string, files: Readonly<Record<string, Buffer>>): object[] {
  const labels = { app: 'model-store' };
  const binaryData = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, bytes.toString('base64')]));
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'model-store', namespace }, binaryData },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'model-store', namespace },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            automountServiceAccountToken: false,
            securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
            terminationGracePeriodSeconds: 1,
            containers: [
              {
                name: 'store',
                image,
                imagePullPolicy: 'IfNotPresent',
                command: ['node', '--input-type=module', '--eval', SERVER_SOURCE],
                ports: [{ containerPort: 8080 }],
                readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
                resources: { requests: { cpu: '10m', memory: '64Mi' } },
                securityContext: {
                  allowPrivilegeEscalation: false,
                  readOnlyRootFilesystem: true,
                  capabilities: { drop: ['ALL'] },
                },
                volumeMounts: [{ name: 'models', mountPath: '/models', readOnly: true }],
              },
            ],
            volumes: [{ name: 'models', configMap: { name: 'model-store' } }],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'model-store', namespace },
      spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
    },
  ];
}
