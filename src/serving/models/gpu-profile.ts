import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { engineMessage } from './engine-failure.ts';
import { LoadFailure } from './failure.ts';

/** The engine's names of the providers that compute on a GPU. */
const GPU_PROVIDERS = ['CUDAExecutionProvider', 'TensorrtExecutionProvider'];

/** Finds out by the engine's own profile of one run whether a GPU computed it. */
export interface GpuProfile {
  /** Session settings that ask for the GPU and record the run. */
  readonly settings: {
    readonly executionProviders: readonly { readonly name: 'cuda'; readonly deviceId: number }[];
    readonly enableProfiling: true;
    readonly profileFilePrefix: string;
  };
  /** What a failed load means when a GPU was asked for; undefined when the GPU has no part in it. */
  loadFailure(error: unknown): LoadFailure | undefined;
  /** Call after the profile has ended. @throws LoadFailure `ProviderUnavailable` when the run fell back to the CPU. */
  confirm(): void;
}

export function startGpuProfile(): GpuProfile {
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-gpu-profile-'));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  return {
    settings: {
      executionProviders: [{ name: 'cuda', deviceId: 0 }],
      enableProfiling: true,
      profileFilePrefix: join(directory, 'run'),
    },
    loadFailure(error) {
      remove();
      const text = engineMessage(error);
      if (!/cuda|cudnn|tensorrt|providers_shared|executionProviders|no available backend/i.test(text)) return undefined;
      return new LoadFailure(
        'ProviderUnavailable',
        `A GPU was asked for and the CUDA provider did not load: ${text}; use the -cuda image on a node with an NVIDIA GPU`,
        { cause: error },
      );
    },
    confirm() {
      try {
        const nodes = nodesByProvider(
          readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8')),
        );
        if (GPU_PROVIDERS.some((provider) => (nodes.get(provider) ?? 0) > 0)) return;
        const counts = [...nodes].map(([provider, count]) => `${count} by ${provider}`).join(', ');
        throw new LoadFailure(
          'ProviderUnavailable',
          `A GPU was asked for, but it computed none of the model's nodes (${counts || 'the profile names none'})`,
        );
      } finally {
        remove();
      }
    },
  };
}

/** How many operator runs each execution provider did, from the engine's profiles (Chrome trace JSON). */
export function nodesByProvider(profiles: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const profile of profiles) {
    for (const event of JSON.parse(profile) as { args?: { provider?: string } }[]) {
      const provider = event.args?.provider;
      if (provider !== undefined) counts.set(provider, (counts.get(provider) ?? 0) + 1);
    }
  }
  return counts;
}
