import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../src/config.js'
import { startStack, type Stack } from '../../src/stack/start-stack.js'
import { BuildClient } from '../build-client.js'
import { scriptProject } from '../small-project.js'
import { report } from './report.js'

const mebibyte = 1024 * 1024
const script = new URL('much-output.mjs', import.meta.url)
const { bytesOf } = (await import(script.href)) as { bytesOf: (n: number) => Buffer }
const watched = ['worker', 'api', 'control'] as const

let stack: Stack
let sql: postgres.Sql

beforeAll(async () => {
  const config = { ...readConfig(), databaseUrl: undefined, redisUrl: undefined }
  stack = await startStack({ config, say: (line) => console.error(line), ports: 'free' })
  sql = postgres(stack.databaseUrl, { max: 1, onnotice: () => {} })
}, 120_000)
afterAll(async () => {
  await sql?.end({ timeout: 1 })
  await stack?.stop()
}, 60_000)

test.each([
  [256, 'whole or up to the limit'],
  [1024, 'up to the limit'],
])(
  'a build that prints %i MiB: the log is kept, %s, and nobody holds it in memory',
  async (megabytes) => {
    const client = new BuildClient(stack)
    const appId = await client.createApp()
    const project = scriptProject(readFileSync(script, 'utf8'), String(megabytes * mebibyte))
    const sourceId = await client.uploadSource(appId, project)
    const startedAt = Date.now()
    const buildId = await client.requestWebBuild(appId, sourceId)
    const { job } = await client.untilEnded(appId, buildId, 1_200_000)
    const buildMs = Date.now() - startedAt
    expect(`${job.status} ${job.statusMessage ?? ''}`).toBe('succeeded ')
    const stored = await untilStored(job.id)
    const storedMs = Date.now() - startedAt - buildMs
    // As an hour later: from here on the log is read from the object store alone.
    await sql`delete from job_logs where job_id = ${job.id}`
    const readAt = Date.now()
    const { lines, textBytes, end } = await compare((await client.readLog(job.id, 'download')).body!)
    const downloadMs = Date.now() - readAt
    const rangeAt = Date.now()
    const range = await client.readLog(job.id, { after: Math.floor(stored.last / 2), limit: 500 })
    const numbers = ((await range.json()) as { number: number }[]).map(({ number }) => number)
    const rangeMs = Date.now() - rangeAt
    expect(numbers).toEqual(Array.from({ length: 500 }, (_, index) => Math.floor(stored.last / 2) + 1 + index))
    const peaks = Object.fromEntries(watched.map((name) => [`${name}PeakMB`, peakOf(name)]))
    const figures = { buildMs, storedAfterEndMs: storedMs, downloadMs, rangeOf500Ms: rangeMs, ...peaks }
    const kept = { linesCompared: lines, textMB: Math.round(textBytes / mebibyte) }
    report({
      name: 'large-log',
      printedMB: megabytes,
      ...kept,
      objectMB: Math.round(stored.bytes / mebibyte),
      ...figures,
    })
    expect(end).toMatch(/^The log reached its limit of 262144 KiB; what follows is not kept\.$/)
    for (const name of watched) expect(peakOf(name)).toBeLessThan(600)
  },
  1_800_000,
)

async function untilStored(jobId: string): Promise<{ last: number; bytes: number }> {
  for (const deadline = Date.now() + 600_000; Date.now() < deadline; await sleep(1_000)) {
    const [row] = await sql<{ last: number; bytes: string }[]>`
      select last_number as last, size_bytes as bytes from job_log_objects where job_id = ${jobId}`
    if (row) return { last: row.last, bytes: Number(row.bytes) }
  }
  throw new Error('the log was not put into the object store')
}

/** Each line that is kept is the one that was printed, in order and none missing; answers the first that is not one. */
async function compare(body: ReadableStream<Uint8Array>): Promise<{ lines: number; textBytes: number; end: string }> {
  const decoder = new TextDecoder()
  let rest = ''
  let lines = 0
  let textBytes = 0
  let end = ''
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    textBytes += Buffer.byteLength(chunk)
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) {
      if (part === decoder.decode(bytesOf(lines))) lines += 1
      else if (lines > 0 && end === '') end = part
    }
  }
  return { lines, textBytes, end }
}

/** The most memory that the process has had, in MB, as the kernel counts it. */
function peakOf(name: (typeof watched)[number]): number {
  const pid = stack.processes.get(name)?.pid ?? 0
  const [, kilobytes = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Math.round(Number(kilobytes) / 1024)
}
