import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../src/config.js'
import { ensureBuilderImages } from '../../src/images/ensure-builder-images.js'
import {
  boundaries,
  edges,
  kill,
  oneEnd,
  openRig,
  strikeAt,
  untilDockerIsEmpty,
  type Ending,
  type Rig,
  type Strike,
} from '../fault-rig.js'
import { startOwnDocker, type OwnDocker } from '../own-docker.js'
import { report } from './report.js'

const victims = ['worker', 'control', 'api', 'redis', 'dockerd'] as const
type Victim = (typeof victims)[number]

let docker: OwnDocker
let rig: Rig

beforeAll(async () => {
  docker = await startOwnDocker(readConfig())
  const { id } = await ensureBuilderImages({ log: (line) => console.error(line) })
  const builderImage = await docker.takeImage(id, 'whole')
  // A lease long enough for processes that start anew while a build for each boundary goes on.
  const place = { builderImage, dockerHost: docker.dockerHost, leaseMs: 20_000 }
  rig = await openRig({ ...place, moreWorkers: ['worker-2'], concurrency: Math.ceil(boundaries.length / 2) })
}, 600_000)
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]()
  await docker?.stop()
}, 120_000)

test.each(victims)(
  '%s killed with -9 at each boundary of a build: it ends once, with one set of artefacts',
  async (victim) => {
    const wrong: string[] = []
    for (const edge of edges) wrong.push(...(await play(victim, edge)))
    expect(wrong).toEqual([])
  },
  1_200_000,
)

async function play(victim: Victim, edge: (typeof edges)[number]): Promise<string[]> {
  const cells = boundaries.map((boundary) => ({ boundary, edge }))
  const endings = await strikeAt(rig, cells, strikeOf(victim))
  const left = await untilDockerIsEmpty(rig.stack)
  for (const { boundary, status, attempts, readyCaches } of endings) {
    report({ name: 'fault', victim, boundary, edge, status, attempts, readyCaches, leftOnDocker: left.length })
  }
  const wrong = endings.filter((ending) => !isGood(ending)).map((ending) => `${victim}: ${JSON.stringify(ending)}`)
  return left.length === 0 ? wrong : [...wrong, `${victim} ${edge}: ${left.length} left on the Docker daemon`]
}

function strikeOf(victim: Victim): Strike {
  if (victim === 'dockerd') return { harm: async () => docker.daemon.kill(), losesAt: [] }
  const losesAt = victim === 'worker' ? edges : victim === 'api' ? (['after'] as const) : []
  return { harm: async () => kill(rig.stack, victim), losesAt }
}

const isGood = (ending: Ending): boolean =>
  ending.status === 'succeeded' &&
  Object.entries(oneEnd).every(([name, value]) => ending[name as keyof typeof oneEnd] === value)
