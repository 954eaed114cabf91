import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { builderImage } from './builder-image.js'
import {
  boundaries,
  kill,
  lookAt,
  oneEnd,
  openRig,
  processOf,
  strikeAt,
  untilDockerIsEmpty,
  type Rig,
} from './fault-rig.js'
import { builtWebsite } from './small-project.js'

// A sample of every process and every phase; `npm run bench -- fault-matrix` does all of them.

let rig: Rig

beforeAll(async () => {
  // A lease long enough for an API that starts anew on a busy machine; a killed worker is missed after it.
  rig = await openRig({ builderImage: builderImage(), leaseMs: 20_000, moreWorkers: ['worker-2'] })
})
afterAll(() => rig?.[Symbol.asyncDispose]())

afterEach(async () => {
  expect(await untilDockerIsEmpty(rig.stack)).toEqual([])
})

const edgeOf = (index: number) => (index % 2 === 0 ? 'before' : 'after')

test('API, control and Redis, one of them killed at each boundary of a build: one attempt, one good end, a whole log', async () => {
  const { client, gate, stack } = rig
  const victims = ['api', 'control', 'redis'] as const
  const appId = await client.createApp()
  const holds = boundaries.map((boundary, index) => gate.hold(appId, boundary, edgeOf(index)))
  const buildId = await client.requestAndroidBuild(appId)
  for (const [index, hold] of holds.entries()) {
    const victim = victims[index % victims.length] ?? 'api'
    await hold.reached
    kill(stack, victim)
    hold.release(hold.edge === 'after' && victim === 'api' ? 'drop' : 'deliver')
  }
  expect((await client.untilEnded(appId, buildId)).job.status).toBe('succeeded')
  expect(await lookAt(stack, buildId)).toMatchObject({ ...oneEnd, attempts: 1 })
  const done = (await client.logLines(appId, buildId)).filter(({ payload }) => payload.startsWith('Done in'))
  const phases = done.map(({ phase }) => phase)
  expect(phases).toEqual([...new Set(phases)])
  expect(phases).toEqual(expect.arrayContaining(boundaries.slice(0, -1)))
  expect(rig.crashes.filter((line) => line.includes('SIGKILL'))).toHaveLength(boundaries.length)
})

test('workers killed at boundaries of four builds: each is made once more and ends once, with one set of artefacts', async () => {
  const cells = [
    { boundary: 'prepare', edge: 'after' },
    { boundary: 'build-web', edge: 'before' },
    { boundary: 'sign', edge: 'after' },
    { boundary: 'finish', edge: 'before' },
  ] as const
  const endings = await strikeAt(rig, cells, {
    harm: async () => kill(rig.stack, 'worker'),
    losesAt: ['before', 'after'],
  })
  expect(endings).toMatchObject(cells.map((cell) => ({ ...cell, ...oneEnd, status: 'succeeded', attempts: 2 })))
})

test('a worker stopped for longer than its lease finds its writes refused; the build is that of another worker', async () => {
  const { client, gate, stack } = rig
  const appId = await client.createApp()
  const hold = gate.hold(appId, 'upload', 'before')
  const buildId = await client.requestBuild(appId, 0)
  await hold.reached
  const zombie = gate.workerOf(appId, 1) ?? ''
  const pid = stack.processes.get(processOf(zombie))?.pid ?? 0
  process.kill(pid, 'SIGSTOP')
  try {
    await client.untilEnded(appId, buildId)
  } finally {
    process.kill(pid, 'SIGCONT')
    hold.release('deliver')
  }
  const refusals = () =>
    gate.writes.filter((write) => write.appId === appId && write.attempt === 1 && write.status === 409)
  await expect.poll(refusals).not.toHaveLength(0)
  expect(gate.workerOf(appId, 2)).not.toBe(zombie)
  await sleep(1_000)
  expect(await lookAt(stack, buildId)).toMatchObject({ ...oneEnd, attempts: 2 })
  expect((await client.build(appId, buildId)).job.status).toBe('succeeded')
})

test('twenty builds on two workers of which one is killed in the middle: each ends once', async () => {
  const { client, gate, stack } = rig
  const appId = await client.createApp()
  const sourceId = await client.uploadSource(appId, builtWebsite())
  const ids = await Promise.all(Array.from({ length: 20 }, () => client.requestWebBuild(appId, sourceId)))
  const finished = () => gate.writes.filter((write) => write.appId === appId && write.path.endsWith('/finish'))
  await expect.poll(() => finished().length, { timeout: 120_000, interval: 50 }).toBeGreaterThan(5)
  stack.processes.get('worker-2')?.kill()
  const statuses = await Promise.all(ids.map(async (id) => (await client.untilEnded(appId, id)).job.status))
  expect(statuses).toEqual(ids.map(() => 'succeeded'))
  for (const id of ids) expect(await lookAt(stack, id)).toMatchObject(oneEnd)
  expect(new Set(finished().map(({ worker }) => worker))).toEqual(new Set(['worker-1', 'worker-2']))
})
