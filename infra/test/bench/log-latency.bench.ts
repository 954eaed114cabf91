import { expect, test } from 'vitest'
import { readConfig } from '../../src/config.js'
import { startStack } from '../../src/stack/start-stack.js'
import { BuildClient } from '../build-client.js'
import { talkingProject } from '../small-project.js'
import { quantile, report } from './report.js'

const LINES = 300

/** The lines of the container carry the moment they were printed; both ends are on this machine's clock. */
test('a line that a container prints, until a client of the live log has it', async () => {
  const config = { ...readConfig(), databaseUrl: undefined, redisUrl: undefined }
  const stack = await startStack({ config, say: () => undefined, ports: 'free' })
  try {
    const client = new BuildClient(stack)
    const appId = await client.createApp()
    const sourceId = await client.uploadSource(appId, talkingProject(LINES, 47))
    const buildId = await client.requestWebBuild(appId, sourceId)
    const { job } = await client.build(appId, buildId)
    const latencies: number[] = []
    for await (const line of client.follow(job.id)) {
      const printedAt = /^printed at (\d+)$/.exec(line)?.[1]
      if (printedAt !== undefined) latencies.push(Date.now() - Number(printedAt))
    }
    expect(latencies).toHaveLength(LINES)
    const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => quantile(latencies, share))
    report({ name: 'log-latency', lines: LINES, p50Ms: p50 ?? 0, p95Ms: p95 ?? 0, p99Ms: p99 ?? 0, goalP95Ms: 250 })
  } finally {
    await stack.stop()
  }
})
