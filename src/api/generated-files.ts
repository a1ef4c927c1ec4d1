import { dump } from 'js-yaml';
import { customResourceDefinition } from './crd.ts';
import { KINDS } from './kinds.ts';
import { referenceIndex, referencePage } from './reference.ts';

/** Which files follow from the API's schemas, and what they must hold. Paths are relative to the repository. */

/** Folders that hold generated files and nothing else. */
export const generatedFolders = [
  'crds',
  'docs/reference',
  'charts/fairlead/templates/crds',
  'charts/fairlead/files/rbac',
];

/** Roles are written by hand, once, for kustomize; the chart carries copies, since Helm reads nothing outside of a chart. */
const ROLES = ['operator', 'election', 'view', 'edit'];
export const sourceFiles = ROLES.map((role) => `config/rbac/${role}-role.yaml`);

const NOTICE = '# Written by `npm run generate`.';

/**
 * All generated files with their content.
 * @param sources the content of each of `sourceFiles`
 */
export function generatedFiles(sources: ReadonlyMap<string, string>): Map<string, string> {
  const files = new Map<string, string>();
  for (const kind of KINDS) {
    const yaml = dump(customResourceDefinition(kind), { lineWidth: 120, noRefs: true });
    const name = `${kind.group}_${kind.plural}.yaml`;
    files.set(`crds/${name}`, `${NOTICE} Source: src/api/v1alpha1.\n${yaml}`);
    files.set(`charts/fairlead/templates/crds/${name}`, chartTemplate(yaml));
    files.set(`docs/reference/${kind.singular}.md`, referencePage(kind));
  }
  const resources = KINDS.map((kind) => `${kind.group}_${kind.plural}.yaml`);
  // Without an extension, so that `kubectl apply -f crds/` takes the definitions only.
  files.set('crds/Kustomization', `${NOTICE}\n${dump({ resources })}`);
  files.set('docs/reference/README.md', referenceIndex(KINDS));
  for (const role of ROLES) {
    const source = sources.get(`config/rbac/${role}-role.yaml`);
    if (source === undefined) throw new Error(`config/rbac/${role}-role.yaml is missing`);
    files.set(`charts/fairlead/files/rbac/${role}-role.yaml`, `${NOTICE} Source: config/rbac.\n${source}`);
  }
  return files;
}

/**
 * A definition as a template of the chart: Helm installs `crds/` but never upgrades it.
 * @throws Error where the definition holds what Helm would replace
 */
function chartTemplate(yaml: string): string {
  const metadata = /^metadata:\n {2}name: .*\n/m;
  if (yaml.includes('{{') || !metadata.test(yaml)) throw new Error(`Helm cannot carry this definition:\n${yaml}`);
  const additions = [
    '  labels: {{- include "fairlead.labels" . | nindent 4 }}',
    '  {{- if .Values.crds.keep }}',
    '  annotations:',
    '    helm.sh/resource-policy: keep',
    '  {{- end }}',
    '',
  ].join('\n');
  const template = yaml.replace(metadata, (found) => `${found}${additions}`);
  return `${NOTICE} Source: src/api/v1alpha1.\n{{- if .Values.crds.install }}\n${template}{{- end }}\n`;
}
