import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generatedFiles, generatedFolders, sourceFiles } from './generated-files.ts';

/** `npm run generate`: writes what follows from the API's schemas, and deletes what no longer does. */

const root = fileURLToPath(new URL('../..', import.meta.url));

const sources = new Map<string, string>();
for (const path of sourceFiles) sources.set(path, await readFile(join(root, path), 'utf8'));
const files = generatedFiles(sources);

for (const [path, content] of files) {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
}
for (const folder of generatedFolders) {
  for (const name of await readdir(join(root, folder))) {
    if (!files.has(`${folder}/${name}`)) await rm(join(root, folder, name));
  }
}
console.log(`wrote ${files.size} files`);
