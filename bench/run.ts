/** `npm run bench -- server|router|routes|operator|rollouts|start [flags]`: each prints its figures as ratios, measured side by side in one run. */
const BENCHMARKS: Readonly<Record<string, () => Promise<unknown>>> = {
  server: () => import('./server/run.ts'),
  router: () => import('./router/run.ts'),
  routes: () => import('./routes/run.ts'),
  operator: () => import('./operator/run.ts'),
  rollouts: () => import('./rollouts/run.ts'),
  start: () => import('./start/run.ts'),
};

const [name = ''] = process.argv.splice(2, 1);
const benchmark = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined;
if (benchmark === undefined) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHMARKS).join('|')} [flags]`);
  process.exitCode = 2;
} else {
  await benchmark();
}
