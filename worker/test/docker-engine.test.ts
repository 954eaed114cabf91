import Docker from 'dockerode'
import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BuildFailure } from '../src/build-failure.js'
import { ContainerStopped, EngineUnavailable } from '../src/container-engine.js'
import { createDockerEngine } from '../src/docker-engine.js'
import { reap, workerLabels } from '../src/reap.js'
import { builderImage, dockerHost } from './build-bench.js'
import { openEngineProxy } from './engine-proxy.js'

const engine = createDockerEngine(dockerHost)
const worker = { stackId: `test-${randomUUID()}`, workerName: 'one' }
const limits = { memoryBytes: 256 << 20, cpus: 2, pids: 128, diskBytes: 64 << 20 }
const never = new AbortController().signal
let containerId: string

const start = async (labels = workerLabels(worker)) =>
  engine.startContainer({
    kind: 'signer',
    name: `capstan-${randomUUID()}`,
    imageId: (await engine.resolveImage(builderImage())).id,
    labels,
    limits,
  })

type Ran = { exitCode: number; stdout: Buffer; stderr: Buffer }

async function run(argv: string[], stdin?: Readable | Buffer): Promise<Ran> {
  const outputs = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  const onOutput = (source: 'stdout' | 'stderr', chunk: Buffer) => void outputs[source].push(Buffer.from(chunk))
  const exitCode = await engine.exec(containerId, { argv, onOutput, ...(stdin && { stdin }) }, never)
  return { exitCode, stdout: Buffer.concat(outputs.stdout), stderr: Buffer.concat(outputs.stderr) }
}

beforeAll(async () => {
  containerId = await start()
})

afterAll(async () => {
  await engine.removeLabelled({ capstan: worker.stackId })
})

describe('starting a container', () => {
  const startWith = async (changes: Partial<typeof limits>) =>
    engine.startContainer({
      kind: 'signer',
      name: `capstan-${randomUUID()}`,
      imageId: (await engine.resolveImage(builderImage())).id,
      labels: workerLabels(worker),
      limits: { ...limits, ...changes },
    })

  test('gives it no more processors than the machine has, which Docker would refuse', async () => {
    const docker = new Docker()
    const id = await startWith({ cpus: 4096 })
    const { NCPU } = (await docker.info()) as { NCPU: number }
    const { HostConfig } = await docker.getContainer(id).inspect()
    expect(HostConfig.NanoCpus).toBe(NCPU * 1e9)
  })

  test('is done with the runtime of the operator’s choice', async () => {
    expect(await engine.runtimes()).toContain('runc')
    const spec = async () => ({
      kind: 'signer' as const,
      name: `capstan-${randomUUID()}`,
      imageId: (await engine.resolveImage(builderImage())).id,
      labels: workerLabels(worker),
      limits,
    })
    const chosen = await createDockerEngine(dockerHost, { runtime: 'runc' }).startContainer(await spec())
    expect((await new Docker().getContainer(chosen).inspect()).HostConfig.Runtime).toBe('runc')
    const unknown = createDockerEngine(dockerHost, { runtime: 'no-such-runtime' })
    await expect(unknown.startContainer(await spec())).rejects.toMatchObject({ code: 'container-refused' })
  })

  test('says what Docker refuses', async () => {
    await expect(startWith({ memoryBytes: 1 })).rejects.toMatchObject({
      code: 'container-refused',
      message: expect.stringMatching(/^Docker does not start the container: .*memory/i),
    })
  })
})

describe('running a command', () => {
  test('keeps its two outputs apart and tells its exit code', async () => {
    const ran = await run(['sh', '-c', 'echo out; echo err >&2; exit 9'])
    expect(ran).toEqual({ exitCode: 9, stdout: Buffer.from('out\n'), stderr: Buffer.from('err\n') })
  })

  test('carries megabytes both ways unchanged', async () => {
    const bytes = Buffer.alloc(20 << 20, 'capstan')
    const ran = await run(['cat'], bytes)
    expect(ran.stdout.equals(bytes)).toBe(true)
  })

  test('makes a fast command wait for a slow reader', async () => {
    let most = 0
    let received = 0
    const onOutput = async (_: string, chunk: Buffer) => {
      received += chunk.length
      most = Math.max(most, process.memoryUsage().arrayBuffers)
      if (received < 4 << 20) await sleep(40)
    }
    const before = process.memoryUsage().arrayBuffers
    const argv = ['head', '-c', '200000000', '/dev/zero']
    expect(await engine.exec(containerId, { argv, onOutput }, never)).toBe(0)
    expect(received).toBe(200_000_000)
    // What was read and not yet collected counts too; a worker that did not wait would hold nearly all of it.
    expect(most - before).toBeLessThan(150_000_000)
  })

  test('fails when its input breaks off, even if the command does not mind', async () => {
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from('first part')
        throw new Error('the download broke off')
      })(),
    )
    await expect(run(['cat'], broken)).rejects.toThrow('the download broke off')
  })

  test('tells the exit code of a command that does not read its input', async () => {
    const endless = Readable.from(
      (async function* () {
        for (;;) yield Buffer.alloc(1 << 16)
      })(),
    )
    expect((await run(['sh', '-c', 'exit 4'], endless)).exitCode).toBe(4)
  })

  test('ends although a child keeps the output open', async () => {
    const startedAt = Date.now()
    const ran = await run(['sh', '-c', 'sleep 60 & echo started'])
    expect(ran).toMatchObject({ exitCode: 0, stdout: Buffer.from('started\n') })
    expect(Date.now() - startedAt).toBeLessThan(45_000)
  })

  test('tells a missing program by the exit code of a shell', async () => {
    expect([126, 127]).toContain((await run(['no-such-program'])).exitCode)
  })

  test('kills the container and gives the reason when it is aborted', async () => {
    const doomed = await start()
    const stop = new AbortController()
    const running = engine.exec(doomed, { argv: ['sleep', '60'], onOutput: () => undefined }, stop.signal)
    await sleep(300)
    const abortedAt = Date.now()
    stop.abort(new BuildFailure('build-canceled', 'The build was canceled.'))
    await expect(running).rejects.toMatchObject({ code: 'build-canceled' })
    expect(Date.now() - abortedAt).toBeLessThan(45_000)
    await expect.poll(() => engine.inspect(doomed)).toMatchObject({ running: false })
    await expect(engine.exec(doomed, { argv: ['true'], onOutput: () => undefined }, never)).rejects.toBeInstanceOf(
      ContainerStopped,
    )
  })
})

describe('clean-up', () => {
  test('of a container that is gone is no error', async () => {
    const gone = await start()
    await engine.removeContainer(gone)
    await engine.removeContainer(gone)
  })

  test('at the start of a worker takes its own leftovers, running ones too, and nobody else’s', async () => {
    const mine = { ...worker, workerName: `two-${randomUUID()}` }
    const other = { ...worker, workerName: `three-${randomUUID()}` }
    await start(workerLabels(mine))
    await start(workerLabels(mine))
    const neighbour = await start(workerLabels(other))
    expect(await reap(engine, mine)).toBe(2)
    expect(await reap(engine, mine)).toBe(0)
    expect(await engine.inspect(neighbour)).toMatchObject({ running: true })
  })
})

describe('an engine that is away', () => {
  test('is told from every other trouble', async () => {
    const absent = createDockerEngine('unix:///nonexistent/docker.sock')
    await expect(absent.ping()).rejects.toBeInstanceOf(EngineUnavailable)
    await expect(absent.resolveImage('x')).rejects.toBeInstanceOf(EngineUnavailable)
    await expect(engine.resolveImage('capstan-no-such-image:1')).rejects.toMatchObject({
      code: 'builder-image-missing',
    })
    await expect(engine.ping()).resolves.toBeUndefined()
  })

  test('in the middle of a command is noticed', async () => {
    const proxy = await openEngineProxy()
    const proxied = createDockerEngine(proxy.dockerHost)
    await proxied.ping()
    const running = proxied.exec(containerId, { argv: ['sleep', '30'], onOutput: () => undefined }, never)
    const noticed = expect(running).rejects.toBeInstanceOf(EngineUnavailable)
    await sleep(500)
    await proxy[Symbol.asyncDispose]()
    await noticed
  })
})
