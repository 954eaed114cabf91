import { afterEach, describe, expect, test } from 'vitest'
import { createDockerEngine } from '../src/docker-engine.js'
import { reap } from '../src/reap.js'
import type { BuildWorld } from '../src/run-build.js'
import { androidProject } from './android-project.js'
import type { Bench } from './build-bench.js'
import { dockerHost, openBench } from './build-bench.js'
import { openEngineProxy } from './engine-proxy.js'

let bench: Bench

const mebibyte = 1024 * 1024
const limits = { memoryBytes: 320 * mebibyte, cpus: 2, pids: 256, diskBytes: 64 * mebibyte, wallClockMs: 110_000 }

async function start(build: string, overrides: Partial<BuildWorld> = {}): Promise<void> {
  bench = await openBench(overrides)
  bench.api.spec = { limits }
  bench.api.source = androidProject({ scripts: { build } })
}

const whenBuilding = () => expect.poll(() => bench.api.log, { interval: 20 }).toContain('building')

afterEach(async () => {
  expect(bench.api.violations).toEqual([])
  expect(await bench.world.engine.removeLabelled({ capstan: bench.world.identity.stackId })).toBe(0)
  await bench[Symbol.asyncDispose]()
})

describe('a build that takes too much', () => {
  test('memory is stopped and told so', async () => {
    await start('node -e "const a=[];for(;;)a.push(Buffer.alloc(1<<24,1))"')
    await bench.run()
    expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'out-of-memory', retryable: false }])
    expect(bench.api.finishes[0]?.message).toContain('320 MiB')
  })

  test('disk is stopped and told so', async () => {
    await start('dd if=/dev/zero of=big bs=1M count=100')
    await bench.run()
    expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'disk-full' }])
  })

  test('processes is stopped and told so', async () => {
    await start(`node -e "for(let n=0;n<400;n++)child_process.spawn('sleep',['30'])"`)
    await bench.run()
    expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'too-many-processes' }])
  })

  test('time is stopped by the wall clock', async () => {
    await start('echo building && sleep 120')
    bench.api.spec = { limits: { ...limits, wallClockMs: 5_000 } }
    const startedAt = Date.now()
    await bench.run()
    expect(Date.now() - startedAt).toBeLessThan(60_000)
    expect(bench.api.finishes).toMatchObject([{ status: 'timed_out', code: 'build-timed-out', retryable: false }])
  })

  test('silence is stopped', async () => {
    await start('echo building && sleep 120', { idleLimitMs: 3_000 })
    await bench.run()
    expect(bench.api.finishes).toMatchObject([{ status: 'timed_out', code: 'build-idle' }])
  })

  test('nothing of all this runs to its end', async () => {
    await start('mkdir dist')
    await bench.run()
    expect(bench.api.finishes).toMatchObject([{ status: 'succeeded' }])
  })
})

describe('a build that is stopped from outside', () => {
  test('by its user ends as canceled, long before its own end', async () => {
    await start('echo building && sleep 120')
    const running = bench.run()
    await whenBuilding()
    const canceledAt = Date.now()
    bench.api.cancelRequested = true
    await running
    expect(Date.now() - canceledAt).toBeLessThan(60_000)
    expect(bench.api.finishes).toMatchObject([{ status: 'canceled', code: 'build-canceled', retryable: false }])
  })

  test('by the loss of its lease reports nothing more', async () => {
    await start('echo building && sleep 120')
    const running = bench.run()
    await whenBuilding()
    const reports = bench.api.phases.length
    bench.api.isLeaseLost = true
    await running
    expect(bench.api.finishes).toEqual([])
    expect(bench.api.phases).toHaveLength(reports)
  })

  test('by the shutdown of its worker is handed back', async () => {
    await start('echo building && sleep 120')
    const running = bench.run()
    await whenBuilding()
    const { workerStopped } = await import('../src/build-failure.js')
    const stoppedAt = Date.now()
    bench.shutdown.abort(workerStopped())
    await running
    expect(Date.now() - stoppedAt).toBeLessThan(60_000)
    expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'worker-stopped', retryable: true }])
  })

  test('by the shutdown of its worker while the API is away ends all the same', async () => {
    await start('echo building && sleep 120')
    const running = bench.run()
    await whenBuilding()
    const { workerStopped } = await import('../src/build-failure.js')
    const stoppedAt = Date.now()
    bench.api.isDown = true
    bench.shutdown.abort(workerStopped())
    await running
    expect(Date.now() - stoppedAt).toBeLessThan(60_000)
    expect(bench.api.finishes).toEqual([])
  })
})

describe('a build whose container engine goes away', () => {
  test('is handed back with that reason', async () => {
    await using proxy = await openEngineProxy()
    await start('echo building && sleep 120', { engine: createDockerEngine(proxy.dockerHost) })
    const running = bench.run()
    await whenBuilding()
    await proxy[Symbol.asyncDispose]()
    await running
    expect(bench.api.finishes).toMatchObject([{ code: 'container-engine-unavailable', retryable: true }])
    // The engine is back: what could not be removed then is removed as a worker does at its start.
    expect(await reap(createDockerEngine(dockerHost), bench.world.identity)).toBe(1)
    await bench[Symbol.asyncDispose]()
    await start('')
  })
})
