import { join } from 'node:path';
import { type GoModule, goModuleDirectory } from './go-module.ts';

const PATH = 'sigs.k8s.io/gateway-api';

/** The CRDs that a cluster gets, and those of a release that knows no mirror by percentage. */
const RELEASES = {
  current: { path: PATH, version: 'v1.4.0', sum: 'h1:ZwlNM6zOHq0h3WUX2gfByPs2yAEsy/EenYJB78jpQfQ=' },
  old: { path: PATH, version: 'v1.2.1', sum: 'h1:fZZ/+RyRb+Y5tGkwxFKuYuSRQHu9dZtbjenblleOLHM=' },
} as const satisfies Readonly<Record<string, GoModule>>;

/** The folder with the real CRDs of the Gateway API, standard channel. */
export async function gatewayApiCrds(release: keyof typeof RELEASES = 'current'): Promise<string> {
  return join(await goModuleDirectory(RELEASES[release]), 'config/crd/standard');
}
