import { fileURLToPath } from 'node:url'

import { defineConfig } from 'vitest/config'

/** Measurements, run by `npm run bench` one after the other; each prints through `report`. */
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['test/bench/*.bench.ts'],
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
})
