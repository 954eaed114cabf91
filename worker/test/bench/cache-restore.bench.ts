import { execFileSync } from 'node:child_process'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BuildRun } from '../../src/build-run.js'
import { LogPump } from '../../src/log-pump.js'
import { SecretSet } from '../../src/mask.js'
import { restoreCache } from '../../src/phases/restore-cache.js'
import { openBench } from '../build-bench.js'

const rounds = 7
const files = 2_000
const mebibyte = 1024 * 1024

/** As npm's cache is: packages that do not compress further, most of them small, and a note for each. */
function makeCache(): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'capstan-cache-bench-'))
  for (let n = 0; n < files; n += 1) {
    const name = createHash('sha512').update(String(n)).digest('hex')
    const content = join(folder, 'content-v2', 'sha512', name.slice(0, 2), name.slice(2, 4))
    mkdirSync(content, { recursive: true })
    writeFileSync(join(content, name.slice(4)), randomBytes(n % 20 === 0 ? 900_000 : 40_000))
    const index = join(folder, 'index-v5', name.slice(4, 6))
    mkdirSync(index, { recursive: true })
    writeFileSync(join(index, name.slice(6)), 'x'.repeat(700))
  }
  const archive = execFileSync('tar', ['--create', '--format=gnu', '-C', folder, '.'], { maxBuffer: 1 << 30 })
  rmSync(folder, { recursive: true })
  return archive
}

test('restoring a cache into a build container, over downloading and hashing the same bytes', async () => {
  const archive = makeCache()
  const sha256 = createHash('sha256').update(archive).digest('hex')
  const server = createServer((_, response) => void response.end(archive)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/cache`
  await using bench = await openBench()
  const limits = { ...bench.api.buildSpec(bench.buildId).limits, memoryBytes: 3 * 1024 ** 3, diskBytes: 1024 ** 3 }
  const question = { packageManager: 'npm', lockfileSha256: sha256, imageId: `sha256:${sha256}` } as const
  const restore = async () => {
    const { engine, identity } = bench.world
    const labels = { capstan: identity.stackId }
    const containerId = await engine.startContainer({
      kind: 'build',
      name: `capstan-bench-${randomUUID()}`,
      imageId: await bench.world.imageId(),
      labels,
      limits,
    })
    await engine.exec(containerId, { argv: ['mkdir', '-p', '/work/.capstan'], onOutput: () => undefined }, signal)
    const secrets = new SecretSet()
    const run = {
      spec: { limits },
      engine,
      secrets,
      signal,
      logs: new LogPump({ secrets, send: () => Promise.resolve(), onRefused: () => undefined }),
      lease: { findCache: () => Promise.resolve({ state: 'hit', url, sha256, sizeBytes: archive.length }) },
    } as unknown as BuildRun
    const use = await restoreCache(run, { containerId }, question)
    expect(use.outcome).toBe('hit')
    await engine.removeContainer(containerId)
    return use.restoreMs ?? 0
  }
  const bare = async () => {
    const startedAt = performance.now()
    const hash = createHash('sha256')
    for await (const chunk of (await fetch(url)).body as unknown as AsyncIterable<Uint8Array>) hash.update(chunk)
    expect(hash.digest('hex')).toBe(sha256)
    return performance.now() - startedAt
  }
  const own: number[] = []
  const plain: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    own.push(await restore())
    plain.push(await bare())
  }
  server.close()
  const [ownMs, plainMs] = [median(own), median(plain)]
  report({
    name: 'cache-restore',
    megabytes: Math.round(archive.length / mebibyte),
    files: files * 2,
    restoreMs: Math.round(ownMs),
    restoreMBps: Math.round(archive.length / 1e3 / ownMs),
    downloadAndHashMs: Math.round(plainMs),
    downloadAndHashMBps: Math.round(archive.length / 1e3 / plainMs),
    ratio: Number((ownMs / plainMs).toFixed(2)),
  })
})

const { signal } = new AbortController()

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0

/** One measurement as one JSON object on a line: in the file `BENCH_REPORT` names, else on stdout. */
function report(measurement: Record<string, string | number>): void {
  const line = `${JSON.stringify(measurement)}\n`
  const file = process.env['BENCH_REPORT']
  if (file) appendFileSync(file, line)
  else process.stdout.write(line)
}
