import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

const packages = ['migrations', 'sdk', 'api', 'worker', 'infra']

export default defineConfig({
  test: {
    // Most files wait for a server or a container; one at a time would leave processors idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // What hangs is found; what a busy machine makes slow is not called broken.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    projects: packages.map((name) => ({
      extends: true,
      test: {
        name,
        root: `./${name}`,
        include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
      },
    })),
  },
})
