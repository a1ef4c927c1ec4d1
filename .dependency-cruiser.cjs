/** The import directions of the design: which layer may know which. */
const layer = (name, allowed, comment) => ({
  name: `${name}-imports`,
  comment,
  severity: 'error',
  from: { path: `^src/${name}/`, pathNot: '\\.test\\.ts$' },
  to: { path: '^src/', pathNot: `^src/(${[name, ...allowed].join('|')})/|^src/options\\.ts$` },
});

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'src-imports-only-src',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(e2e|bench)/' },
    },
    {
      name: 'only-roles-read-the-environment',
      comment: 'What a role is told by the environment reaches everything else as an argument.',
      severity: 'error',
      from: { path: '^src/', pathNot: '-command\\.ts$|^src/(operator|router)\\.ts$|\\.test\\.ts$' },
      to: { path: '^src/options\\.ts$' },
    },
    {
      name: 'no-dev-dependencies-in-src',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$|^src/api/generate' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm', 'type-only'] },
    },
    layer('api', [], 'Types and schemas know nothing of what uses them.'),
    layer('telemetry', [], 'Logging and metrics know nothing of what uses them.'),
    layer('runtime', ['telemetry'], 'The controller runtime knows no kind.'),
    layer(
      'serving',
      ['api', 'stats', 'telemetry'],
      'The data plane shares nothing with controllers but types and statistics.',
    ),
    layer('router', ['api', 'runtime', 'serving', 'telemetry'], 'Wires the data plane of routers to the cluster.'),
    layer(
      'controllers',
      ['api', 'runtime', 'stats', 'pipeline', 'rollout', 'capacity', 'integrations', 'telemetry'],
      'Controllers never reach into the data plane.',
    ),
    {
      name: 'pure-core-has-no-effects',
      comment: 'Decisions are functions of a snapshot and a time.',
      severity: 'error',
      from: {
        path: '^src/(stats|pipeline|rollout|capacity)/|^src/controllers/(?!.*/phases/).*/(acknowledgement|desired|diagnose|difference|judge|lasting-failure|lead|pod|revision|route|server-pod|services|snapshot|status)\\.ts$',
        pathNot: '\\.test\\.ts$',
      },
      to: {
        path: '^src/(runtime|integrations|serving|telemetry)/|client-node|^(fs|http|https|net|child_process)$',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'serving-has-no-kubernetes-client',
      severity: 'error',
      from: { path: '^src/serving/' },
      to: { path: '@kubernetes/client-node' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
      conditionNames: ['import', 'node', 'default'],
      exportsFields: ['exports'],
    },
  },
};
