import { defineConfig } from 'vitest/config';

/** What only a machine with an NVIDIA GPU can show; run by hand there (`npm run test:gpu`), never by CI. */
export default defineConfig({
  test: { include: ['e2e/gpu/**/*.gpu.test.ts'], testTimeout: 120_000 },
});
