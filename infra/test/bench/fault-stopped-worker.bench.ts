import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { boundaries, oneEnd, openRig, strikeAt, untilDockerIsEmpty } from '../fault-rig.js'
import { report } from './report.js'

const stoppedMs = 90_000

test('a worker stopped for 90 s at each boundary, under a lease of 60 s: none of its late writes is taken', async () => {
  await using rig = await openRig({ leaseMs: 60_000, concurrency: boundaries.length })
  const worker = rig.stack.processes.get('worker')?.pid ?? 0
  let before = 0
  const cells = boundaries.map((boundary) => ({ boundary, edge: 'before' }) as const)
  const endings = await strikeAt(rig, cells, {
    harm: async () => {
      process.kill(worker, 'SIGSTOP')
      await sleep(stoppedMs)
      before = rig.gate.writes.length
      process.kill(worker, 'SIGCONT')
    },
    losesAt: [],
  })
  const left = await untilDockerIsEmpty(rig.stack)
  const late = rig.gate.writes.slice(before).filter(({ attempt }) => attempt === 1)
  for (const { boundary, status, attempts, appId } of endings) {
    const refused = late.filter((write) => write.appId === appId && write.status === 409).length
    report({ name: 'stopped-worker', stoppedMs, boundary, status, attempts, refused, leftOnDocker: left.length })
  }
  expect(endings).toMatchObject(cells.map((cell) => ({ ...cell, ...oneEnd, status: 'succeeded', attempts: 2 })))
  expect(late.filter(({ status }) => status !== 409)).toEqual([])
  expect(new Set(late.map(({ appId }) => appId)).size).toBe(boundaries.length)
  expect(left).toEqual([])
}, 900_000)
