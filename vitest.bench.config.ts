import { defineConfig } from 'vitest/config'

/** Measurements, run by `npm run bench` one after the other; each prints through `report`. */
export default defineConfig({
  test: {
    include: ['{api,infra,worker}/test/bench/*.bench.ts'],
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
})
