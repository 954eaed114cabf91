import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../src/config.js'
import { builderImage } from './builder-image.js'
import { oneEnd, openRig, strikeAt, untilDockerIsEmpty, type Rig } from './fault-rig.js'
import { startOwnDocker, type OwnDocker } from './own-docker.js'

const config = readConfig()
const canOwnDocker = config.isRoot && process.platform === 'linux'
let docker: OwnDocker
let rig: Rig

beforeAll(async () => {
  if (!canOwnDocker) return
  docker = await startOwnDocker(config)
  const image = await docker.takeImage(builderImage(), 'web')
  rig = await openRig({ builderImage: image, dockerHost: docker.dockerHost, leaseMs: 30_000 })
})
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]()
  await docker?.stop()
})

test.runIf(canOwnDocker)(
  'dockerd killed with builds at three boundaries: each ends once, and nothing stays on the daemon',
  async () => {
    const cells = [
      { boundary: 'install', edge: 'after' },
      // A phase works while its start is reported: one that still needs its container afterwards loses it for sure.
      { boundary: 'build-web', edge: 'before' },
      { boundary: 'finish', edge: 'before' },
    ] as const
    const endings = await strikeAt(rig, cells, { harm: async () => docker.daemon.kill(), losesAt: [] })
    expect(endings).toMatchObject(cells.map((cell) => ({ ...cell, ...oneEnd, status: 'succeeded' })))
    expect(endings.map(({ attempts }) => attempts)).toEqual([2, 2, 1])
    expect(await untilDockerIsEmpty(rig.stack)).toEqual([])
  },
  240_000,
)

test.runIf(canOwnDocker)(
  'with the Docker daemon gone a build waits and says why, the API stays up, and the build runs when it is back',
  async () => {
    const { client, stack } = rig
    const appId = await client.createApp()
    await docker.daemon.stop()
    const buildId = await client.requestBuild(appId, 0)
    await expect.poll(async () => JSON.stringify(await client.build(appId, buildId))).toMatch(/container engine/i)
    expect((await client.build(appId, buildId)).job.status).toMatch(/^(queued|pending)$/)
    expect((await fetch(`${stack.apiUrl}/v1/users/me`)).status).toBe(401)
    await docker.daemon.start()
    expect((await client.untilEnded(appId, buildId)).job.status).toBe('succeeded')
    expect(await untilDockerIsEmpty(stack)).toEqual([])
  },
  240_000,
)
