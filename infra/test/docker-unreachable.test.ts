import { mkdtempSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../src/config.js'
import { startStack, type Stack } from '../src/stack/start-stack.js'
import { BuildClient } from './build-client.js'
import { builderImage } from './builder-image.js'

const config = readConfig()
const dockerSocket = (config.dockerHost ?? 'unix:///var/run/docker.sock').replace('unix://', '')
let folder: string
let gate: DockerGate
let stack: Stack

/** A socket that leads to the Docker daemon while it is open, and to nothing while it is closed. */
class DockerGate {
  readonly path: string
  private server: Server | undefined
  private readonly sockets = new Set<Socket>()

  constructor(path: string) {
    this.path = path
  }

  async open(): Promise<void> {
    this.server = createServer({ allowHalfOpen: true }, (client) => {
      const daemon = connect({ path: dockerSocket, allowHalfOpen: true })
      for (const socket of [client, daemon]) {
        this.sockets.add(socket)
        socket.on('error', () => socket.destroy())
        socket.once('close', () => this.sockets.delete(socket))
      }
      client.pipe(daemon).pipe(client)
    })
    this.server.listen(this.path)
    await once(this.server, 'listening')
  }

  async close(): Promise<void> {
    const { server } = this
    if (!server) return
    const closed = once(server, 'close')
    server.close()
    for (const socket of this.sockets) socket.destroy()
    await closed
    rmSync(this.path, { force: true })
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gate-'))
  gate = new DockerGate(join(folder, 'docker.sock'))
  await gate.open()
  stack = await startStack({
    config: { ...config, databaseUrl: undefined, redisUrl: undefined },
    say: () => {},
    ports: 'free',
    builderImage: builderImage(),
    overrides: {
      control: { SWEEP_MS: '300', RELAY_MS: '200' },
      worker: { DOCKER_HOST: `unix://${gate.path}`, DOCKER_RETRY_MS: '500' },
    },
  })
}, 120_000)
afterAll(async () => {
  await gate?.close()
  await stack?.stop()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

test('with the Docker daemon gone a build waits and says why, the API stays up, and the build runs when it is back', async () => {
  const client = new BuildClient(stack)
  const appId = await client.createApp()
  await gate.close()
  const buildId = await client.requestBuild(appId, 1)
  await expect
    .poll(async () => JSON.stringify(await client.build(appId, buildId)), { timeout: 20_000 })
    .toMatch(/Docker|container engine/i)
  expect((await client.build(appId, buildId)).job.status).toMatch(/^(queued|pending)$/)
  expect((await fetch(`${stack.apiUrl}/v1/users/me`)).status).toBe(401)
  await gate.open()
  expect((await client.untilEnded(appId, buildId)).job.status).toBe('succeeded')
}, 180_000)
