import { join } from 'node:path'
import type { Config } from '../config.js'
import { ensureBuilderImages } from '../images/ensure-builder-images.js'
import type { Say } from '../report-progress.js'
import { keepStorage, launch, openRun, type Run } from './open-run.js'
import { startDatabase } from './start-stack.js'
import { prepareRedis } from './start-redis.js'
import type { Teardown } from './teardown.js'
import { useDocker } from './use-docker.js'

export interface TestServers {
  /** A folder that is removed with the servers. */
  readonly folder: string
  readonly databaseUrl: string
  readonly redisUrl: string
  readonly dockerHost: string
  readonly builderImage: string
}

async function startOpenRedis(run: Run): Promise<string> {
  const { config } = run.options
  if (config.redisUrl) return config.redisUrl
  const prepared = prepareRedis({
    folder: run.folders.redis,
    port: run.ports.redis,
    isRoot: config.isRoot,
    logFile: join(run.folders.logs, 'redis.log'),
    baseEnv: config.baseEnv,
  })
  keepStorage(run, prepared.folder)
  await launch(run, prepared.spec)
  return prepared.url
}

/** Postgres and Redis as for the tests, without the build side. */
export async function startStorageServers(options: {
  config: Config
  say: Say
  teardown: Teardown
}): Promise<Pick<TestServers, 'folder' | 'databaseUrl' | 'redisUrl'>> {
  const run = await openRun({ ...options, ports: 'free' })
  const [databaseUrl, redisUrl] = await Promise.all([startDatabase(run, true), startOpenRedis(run)])
  return { folder: run.folders.dataDir, databaseUrl, redisUrl }
}

/** Servers for the tests: a Postgres whose superuser is known, a Redis without users, Docker and the builder image. */
export async function startTestServers(options: {
  config: Config
  say: Say
  teardown: Teardown
}): Promise<TestServers> {
  const { config, say, teardown } = options
  const run = await openRun({ ...options, ports: 'free' })
  const docker = await useDocker({ ...config, say })
  teardown.add(docker.release)
  const [databaseUrl, redisUrl, image] = await Promise.all([
    startDatabase(run, true),
    startOpenRedis(run),
    ensureBuilderImages({ log: say }),
  ])
  const { dockerHost } = docker
  return { folder: run.folders.dataDir, databaseUrl, redisUrl, dockerHost, builderImage: image.id }
}
