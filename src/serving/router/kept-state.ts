import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import Type, { type Static } from 'typebox';
import { schemaMismatch } from '../schema-mismatch.ts';

/** What a router needs to serve on after its own restart while the API server is away. */
export const RouterState = Type.Object(
  {
    /** Routes as they were written, by ModelDeployment. */
    routes: Type.Record(Type.String(), Type.String()),
    /** Addresses of ready pods, by revision. */
    addresses: Type.Record(Type.String(), Type.Array(Type.String())),
  },
  { additionalProperties: false },
);
export type RouterState = Static<typeof RouterState>;

const FILE = 'state.json';

/** The file that holds the state of a router. */
export class KeptState {
  readonly #path: string;

  constructor(directory: string) {
    this.#path = join(directory, FILE);
  }

  /** The state that was kept last; undefined before the first. @throws Error when it cannot be read or is damaged. */
  async read(): Promise<RouterState | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    }
    const state: unknown = JSON.parse(text);
    const mismatch = schemaMismatch(RouterState, state, 'the state');
    if (mismatch !== undefined) throw new Error(`${this.#path}: ${mismatch}`);
    return state as RouterState;
  }

  /** Takes the place of what was kept, whole or not at all, whenever the process ends. @throws Error when it cannot. */
  async write(state: RouterState): Promise<void> {
    const temporary = `${this.#path}.new`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(state));
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#path);
  }

  /** Keeps nothing: what is old would be worse. @throws Error when it cannot be removed. */
  async forget(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}
