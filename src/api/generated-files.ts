import { dirname } from 'node:path';
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
  'charts/fairlead/files/policies',
];

/**
 * Roles and admission policies are written by hand, once, for kustomize; the chart carries copies, since Helm reads
 * nothing outside of a chart.
 */
const ROLES = ['operator', 'election', 'view', 'edit', 'promote', 'router', 'registry'];
const POLICIES = ['action', 'alias-move'];
const COPIES = [
  ...ROLES.map((role) => `rbac/${role}-role.yaml`),
  ...POLICIES.map((name) => `policies/${name}-policy.yaml`),
];
export const sourceFiles = COPIES.map((path) => `config/${path}`);

const NOTICE = '# Written by `npm run generate`.';

/**
 * All generated files with their content.
 * @param sources the content of each of `sourceFiles`
 */
export function generatedFiles(sources: ReadonlyMap<string, string>): Map<string, string> {
  const files = new Map<string, string>();
  for (const kind of KINDS) {
    // At the depth of a definition half of it would be blanks, and its size is bounded.
    const yaml = dump(customResourceDefinition(kind), { indent: 1, lineWidth: -1, noRefs: true, seqNoIndent: true });
    const name = `${kind.group}_${kind.plural}.yaml`;
    files.set(`crds/${name}`, `${NOTICE} Source: src/api/v1alpha1.\n${yaml}`);
    files.set(`charts/fairlead/templates/crds/${name}`, chartTemplate(yaml));
    files.set(`docs/reference/${kind.singular}.md`, referencePage(kind));
  }
  const resources = KINDS.map((kind) => `${kind.group}_${kind.plural}.yaml`);
  // Without an extension, so that `kubectl apply -f crds/` takes the definitions only.
  files.set('crds/Kustomization', `${NOTICE}\n${dump({ resources })}`);
  files.set('docs/reference/README.md', referenceIndex(KINDS));
  for (const path of COPIES) {
    const source = sources.get(`config/${path}`);
    if (source === undefined) throw new Error(`config/${path} is missing`);
    files.set(`charts/fairlead/files/${path}`, `${NOTICE} Source: config/${dirname(path)}.\n${source}`);
  }
  return files;
}

/**
 * A definition as a template of the chart: Helm installs `crds/` but never upgrades it.
 * @throws Error where the definition holds what Helm would replace
 */
function chartTemplate(yaml: string): string {
  const metadata = /^metadata:\n name: .*\n/m;
  if (yaml.includes('{{') || !metadata.test(yaml)) throw new Error(`Helm cannot carry this definition:\n${yaml}`);
  const additions = [
    ' labels: {{- include "fairlead.labels" . | nindent 4 }}',
    ' {{- if .Values.crds.keep }}',
    ' annotations:',
    '  helm.sh/resource-policy: keep',
    ' {{- end }}',
    '',
  ].join('\n');
  const template = yaml.replace(metadata, (found) => `${found}${additions}`);
  return `${NOTICE} Source: src/api/v1alpha1.\n{{- if .Values.crds.install }}\n${template}{{- end }}\n`;
}
