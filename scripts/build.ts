/**
 * Bundles the program into a folder that runs by itself: `node scripts/build.ts [--out DIR] [--with-node]`. Each role is
 * a chunk of its own, so that a server reads no Kubernetes client. onnxruntime-node stays a package beside the bundle,
 * with the libraries of this platform only. `--with-node` adds the Node that runs this, as `bin/node`.
 */
import { cp, mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build, type Plugin } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: { out: { type: 'string', default: 'dist' }, 'with-node': { type: 'boolean', default: false } },
});
const out = resolve(root, values.out);

/**
 * A module that imports `node:http` makes Node read all of its exports, and behind `http.WebSocket` is the whole of Node's
 * own fetch: 4 MiB of memory in every process. The module itself has it read only when it is asked for.
 */
const HTTP = '\0node:http';
const httpWithoutFetch: Plugin = {
  name: 'http-without-fetch',
  resolveId: (id) => (id === 'node:http' || id === 'http' ? HTTP : null),
  load: (id) => (id === HTTP ? { code: `module.exports = process.getBuiltinModule('node:http');` } : null),
};

await rm(out, { recursive: true, force: true });
await build({
  cwd: root,
  plugins: [httpWithoutFetch],
  // A worker thread's program is found by its name beside the code that starts it: all files lie in one folder.
  input: { main: 'src/main.ts', 'session-worker': 'src/serving/models/session-worker.ts' },
  platform: 'node',
  // Native, and so never part of a bundle.
  external: [/^onnxruntime-node/],
  output: {
    dir: out,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    // Smaller text starts faster; names stay, because log lines and errors show them.
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
    keepNames: true,
  },
});

// Says at once what Node would find out by reading each file twice.
await writeFile(join(out, 'package.json'), JSON.stringify({ type: 'module' }));

/** Copies a package with the files that are needed at run time. */
async function copyPackage(directory: string, name: string, wanted: (path: string) => boolean): Promise<void> {
  const target = join(out, 'node_modules', name);
  await mkdir(target, { recursive: true });
  await cp(directory, target, {
    recursive: true,
    filter: async (source) => (await stat(source)).isDirectory() || wanted(source.slice(directory.length + 1)),
  });
}

/** The folder of an installed package, whatever it exports. */
function packageFolder(name: string, from: string): string {
  const main = createRequire(from).resolve(name);
  const folder = join('node_modules', name);
  return main.slice(0, main.lastIndexOf(folder) + folder.length);
}

const onnxruntime = packageFolder('onnxruntime-node', import.meta.url);
const libraries = join('bin', 'napi-v6', process.platform, process.arch);
await copyPackage(onnxruntime, 'onnxruntime-node', (path) =>
  path.startsWith('bin') ? path.startsWith(libraries) : path === 'package.json' || /^dist\/.*\.js$/.test(path),
);
const common = packageFolder('onnxruntime-common', join(onnxruntime, 'package.json'));
await copyPackage(
  common,
  'onnxruntime-common',
  (path) => path.endsWith('package.json') || /^dist\/cjs\/.*\.js$/.test(path),
);
if (values['with-node']) {
  await mkdir(join(out, 'bin'));
  await cp(process.execPath, join(out, 'bin', 'node'));
}
await removeEmptyDirectories(out);
if (process.env.SOURCE_DATE_EPOCH !== undefined) await setTimes(out, Number(process.env.SOURCE_DATE_EPOCH));

async function removeEmptyDirectories(directory: string): Promise<boolean> {
  const entries = await readdir(directory, { withFileTypes: true });
  const kept = await Promise.all(
    entries.map(async (entry) => !entry.isDirectory() || !(await removeEmptyDirectories(join(directory, entry.name)))),
  );
  if (kept.includes(true)) return false;
  await rm(directory, { recursive: true });
  return true;
}

/** So that the same input gives the same image. */
async function setTimes(path: string, epochSeconds: number): Promise<void> {
  if ((await stat(path)).isDirectory()) {
    for (const name of await readdir(path)) await setTimes(join(path, name), epochSeconds);
  }
  await utimes(path, epochSeconds, epochSeconds);
}
