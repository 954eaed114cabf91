import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { createApiClient } from './api-client.js'
import { createBrokerClient } from './broker-client.js'
import { BuildFailure, platformFailure } from './build-failure.js'
import type { WorkerConfig, WorkerSecrets } from './config.js'
import { ConfigError } from './config.js'
import type { ContainerEngine } from './container-engine.js'
import { EngineUnavailable } from './container-engine.js'
import { createDockerEngine } from './docker-engine.js'
import { keepReaping, reap } from './reap.js'
import { keepReporting } from './keep-reporting.js'
import { capabilities, takeBuilds } from './take-builds.js'

/** Composes a worker from its settings; disposing it hands running builds back and closes every connection. */
export async function startWorker(config: WorkerConfig, secrets: WorkerSecrets, log: Logger): Promise<AsyncDisposable> {
  const { containerRuntime } = config
  const engine = createDockerEngine(config.dockerHost, {
    ...(containerRuntime !== undefined && { runtime: containerRuntime }),
  })
  const identity = { stackId: config.stackId, workerName: config.workerName }
  let imageId: string | undefined
  const resolveImage = async () => (imageId ??= await chooseImage(engine, config))
  try {
    if (containerRuntime !== undefined && !(await engine.runtimes()).includes(containerRuntime)) {
      throw new ConfigError(`CONTAINER_RUNTIME ${containerRuntime} is not a runtime of the container engine.`)
    }
    const reaped = await reap(engine, identity)
    if (reaped > 0) log.warn({ reaped }, 'removed what an earlier run of this worker left behind')
    log.info({ imageId: await resolveImage() }, 'builder image')
  } catch (error) {
    if (error instanceof BuildFailure) throw new ConfigError(`BUILDER_IMAGE: ${error.message}`, { cause: error })
    if (!(error instanceof EngineUnavailable)) throw error
    log.warn({ err: error }, 'the container engine does not answer; builds wait until it does')
  }
  const connection = await connectRedis(config, secrets, log)
  const api = createApiClient({ baseUrl: config.apiUrl, workerToken: secrets.workerToken })
  const report = { worker: config.workerName, capabilities: [...capabilities], slots: config.concurrency }
  const reporting = keepReporting(api, report, log)
  const running = new Set<string>()
  const reaping = keepReaping({ engine, identity, running, log })
  const builds = takeBuilds({
    world: {
      api,
      engine,
      broker: createBrokerClient(config.brokerSocket),
      identity,
      running,
      imageId: resolveImage,
      ...(secrets.extraCa && { extraCa: secrets.extraCa }),
      hostPolicy: config.hostPolicy,
      heartbeatMs: config.heartbeatMs,
      idleLimitMs: config.idleLimitMs,
      log,
    },
    connection,
    concurrency: config.concurrency,
    retryMs: config.dockerRetryMs,
  })
  return {
    async [Symbol.asyncDispose]() {
      await reporting[Symbol.asyncDispose]()
      await builds[Symbol.asyncDispose]()
      await reaping[Symbol.asyncDispose]()
      connection.disconnect()
    },
  }
}

/** The image every build of this worker runs in, by id: a tag that is moved later moves nothing. */
async function chooseImage(engine: ContainerEngine, config: WorkerConfig): Promise<string> {
  const { id, digests } = await engine.resolveImage(config.builderImage)
  const allowed = config.builderImageDigests
  if (allowed.length === 0 || digests.some((digest) => allowed.includes(digest))) return id
  throw platformFailure('builder-image-refused', `${config.builderImage} (${id}) is not on BUILDER_IMAGE_DIGESTS.`)
}

async function connectRedis(config: WorkerConfig, secrets: WorkerSecrets, log: Logger): Promise<Redis> {
  const connection = new Redis(config.redis.url, {
    maxRetriesPerRequest: null,
    ...(config.redis.username !== undefined && { username: config.redis.username }),
    ...(secrets.redisPassword !== undefined && { password: secrets.redisPassword }),
    retryStrategy: (attempt) => Math.min(attempt * 100, 2_000),
  })
  connection.on('error', (error) => log.warn({ err: error }, 'redis trouble'))
  await connection.ping()
  return connection
}
