import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { createApiClient } from '../src/api-client.js'
import type { BrokerClient } from '../src/broker-client.js'
import { createDockerEngine } from '../src/docker-engine.js'
import type { BuildWorld } from '../src/run-build.js'
import { runBuild } from '../src/run-build.js'
import { ProtocolServer, workerToken } from './protocol-server.js'

export const dockerHost = process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock'

export function builderImage(): string {
  const image = process.env['TEST_BUILDER_IMAGE']
  if (image === undefined) throw new Error('TEST_BUILDER_IMAGE is not set; `npm test` sets it.')
  return image
}

export const noBroker: BrokerClient = {
  openKeystore: () => Promise.reject(new Error('this build opens no credential')),
  openVariables: () => Promise.reject(new Error('this build has no secret variables')),
  openGitCredential: () => Promise.reject(new Error('this build needs no git credential')),
}

export type Bench = AsyncDisposable & {
  api: ProtocolServer
  world: BuildWorld
  buildId: string
  shutdown: AbortController
  run(): Promise<void>
}

/** One build against the real engine and a protocol server, with a stack of its own. */
export async function openBench(overrides: Partial<BuildWorld> = {}): Promise<Bench> {
  const api = await new ProtocolServer().start()
  const engine = createDockerEngine(dockerHost)
  const buildId = randomUUID()
  const shutdown = new AbortController()
  const world: BuildWorld = {
    api: createApiClient({ baseUrl: api.url, workerToken }),
    engine,
    broker: noBroker,
    identity: { stackId: `test-${randomUUID()}`, workerName: 'bench' },
    running: new Set(),
    imageId: async () => (await engine.resolveImage(builderImage())).id,
    hostPolicy: { allowed: [], privateAllowed: [], appHostsCount: true },
    heartbeatMs: 200,
    idleLimitMs: 60_000,
    log: pino({ level: process.env['LOG_LEVEL'] ?? 'silent' }),
    ...overrides,
  }
  return {
    api,
    world,
    buildId,
    shutdown,
    run: () => runBuild(world, api.claim(buildId), shutdown.signal),
    async [Symbol.asyncDispose]() {
      await engine.removeLabelled({ capstan: world.identity.stackId })
      await api[Symbol.asyncDispose]()
    },
  }
}
