import { join } from 'node:path'
import { migrate, MigrationMismatch } from '@capstan/migrations'
import type { Config } from '../config.js'
import { Failure } from '../failure.js'
import { ensureBuilderImages } from '../images/ensure-builder-images.js'
import type { Say } from '../report-progress.js'
import { removeLabelled } from './ask-docker.js'
import type { Ports } from './choose-ports.js'
import { describeMoreWorker, describeProcess, type OwnProcess, type ProcessSettings } from './describe-processes.js'
import { removeDevJson, writeDevJson } from './dev-json.js'
import { keepStorage, launch, openRun, type Run } from './open-run.js'
import { provisionStack, type StackOrganization } from './provision-stack.js'
import { describeConnections, firstWorker, type RedisSource } from './stack-connections.js'
import { readSecret, type StackFolders } from './stack-folders.js'
import { preparePostgres } from './start-postgres.js'
import { prepareRedis } from './start-redis.js'
import type { SupervisedProcess } from './supervised-process.js'
import type { Teardown } from './teardown.js'
import { useDocker } from './use-docker.js'

export interface StackOptions {
  readonly config: Config
  readonly say: Say
  /** Durable data folder; without it the stack gets a folder of its own that is removed with it. */
  readonly dataDir?: string
  readonly ports: 'stable' | 'free'
  /** Where `dev.json` is written, if at all. */
  readonly devJsonFolder?: string
  /** An image that is there already; without it the builder images are made. */
  readonly builderImage?: string
  readonly overrides?: ProcessSettings['overrides']
  /** Names of workers beside the first. */
  readonly moreWorkers?: readonly string[]
  /** Undoes the start when it is interrupted half way. */
  readonly teardown?: Teardown
  readonly onGivenUp?: (failure: Failure) => void
}

export interface Stack {
  readonly stackId: string
  readonly folders: StackFolders
  readonly ports: Ports
  readonly apiUrl: string
  readonly databaseUrl: string
  readonly redis: RedisSource
  /** Folders of the own Postgres and Redis. */
  readonly storageFolders: readonly string[]
  readonly dockerHost: string
  readonly builderImage: string
  readonly organizations: readonly StackOrganization[]
  readonly processes: ReadonlyMap<string, SupervisedProcess>
  readonly stop: () => Promise<void>
}

export async function startDatabase(run: Run, throwAway: boolean): Promise<string> {
  const { config } = run.options
  if (config.databaseUrl) return config.databaseUrl
  const prepared = await preparePostgres({
    folder: run.folders.postgres,
    port: run.ports.postgres,
    password: run.secrets.postgresPassword,
    isRoot: config.isRoot,
    logFile: join(run.folders.logs, 'postgres.log'),
    baseEnv: config.baseEnv,
    throwAway,
  })
  keepStorage(run, prepared.folder)
  await launch(run, prepared.spec)
  return prepared.url
}

async function startQueue(run: Run): Promise<RedisSource> {
  const { config } = run.options
  if (config.redisUrl) return { url: config.redisUrl, isOwn: false }
  const { redisFiles } = run.secrets
  const prepared = prepareRedis({
    folder: run.folders.redis,
    port: run.ports.redis,
    passwords: {
      capstan_api: readSecret(redisFiles.capstan_api),
      capstan_control: readSecret(redisFiles.capstan_control),
      capstan_worker: readSecret(redisFiles.capstan_worker),
    },
    isRoot: config.isRoot,
    logFile: join(run.folders.logs, 'redis.log'),
    baseEnv: config.baseEnv,
  })
  keepStorage(run, prepared.folder)
  await launch(run, prepared.spec)
  return { url: prepared.url, isOwn: true }
}

async function startBuildSide(run: Run): Promise<{ dockerHost: string; builderImage: string }> {
  const { config, say, builderImage } = run.options
  const { dockerHost, release } = await useDocker({ ...config, say })
  run.teardown.add(release)
  const label = `capstan=${run.secrets.stackId}`
  run.teardown.add(async () => {
    await removeLabelled(dockerHost, label)
  })
  return { dockerHost, builderImage: builderImage ?? (await ensureBuilderImages({ log: say })).id }
}

async function prepareSchema(run: Run, url: string): Promise<void> {
  const { databaseFiles } = run.secrets
  try {
    await migrate({
      url,
      rolePasswords: {
        api: readSecret(databaseFiles.api),
        control: readSecret(databaseFiles.control),
        broker: readSecret(databaseFiles.broker),
      },
    })
  } catch (error) {
    if (!(error instanceof MigrationMismatch)) throw error
    const data = run.options.dataDir ?? 'the database that DATABASE_URL names'
    throw new Failure(
      `${error.message} The data in ${data} needs the version of Capstan that made it; use that version, or start with other data.`,
      1,
      { cause: error },
    )
  }
}

async function startOwnProcesses(run: Run, settings: ProcessSettings): Promise<readonly StackOrganization[]> {
  const start = (name: OwnProcess): Promise<void> => launch(run, describeProcess(settings, name))
  await start('broker')
  await Promise.all([start('api'), start('control')])
  const { moreWorkers = [] } = run.options
  const organizations = await provisionStack(settings, [firstWorker, ...moreWorkers])
  await start('worker')
  for (const name of moreWorkers) await launch(run, describeMoreWorker(settings, name))
  return organizations
}

/** Redis' address with the API's user, for people and tests. */
function redisUrlWithUser({ url, isOwn }: RedisSource, run: Run): string {
  if (!isOwn) return url
  const full = new URL(url)
  full.username = 'capstan_api'
  full.password = readSecret(run.secrets.redisFiles.capstan_api)
  return full.href
}

function keepDevJson(run: Run, folder: string, stack: Stack): void {
  run.onChange = () =>
    writeDevJson(folder, {
      apiUrl: stack.apiUrl,
      consoleUrl: `${stack.apiUrl}/console`,
      databaseUrl: stack.databaseUrl,
      redisUrl: redisUrlWithUser(stack.redis, run),
      dataDir: run.folders.dataDir,
      pids: run.recorded.pids(),
      organizations: stack.organizations,
    })
  run.onChange()
  run.teardown.add(async () => {
    run.onChange = () => {}
    removeDevJson(folder)
  })
}

/** Starts every process of the platform and resolves when all of them answer. Its `stop` undoes all of it. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const run = await openRun(options)
  try {
    const [databaseUrl, redis, buildSide] = await Promise.all([
      startDatabase(run, !options.dataDir),
      startQueue(run),
      startBuildSide(run),
    ])
    await prepareSchema(run, databaseUrl)
    const connections = describeConnections(databaseUrl, redis, run.secrets, run.folders.secrets)
    const { config, overrides = {} } = options
    const { folders, secrets, ports } = run
    const settings = { config, folders, secrets, connections, overrides, apiPort: ports.api, ...buildSide }
    const organizations = await startOwnProcesses(run, settings)
    const stack: Stack = {
      stackId: secrets.stackId,
      folders,
      ports,
      apiUrl: `http://127.0.0.1:${ports.api}`,
      databaseUrl,
      redis,
      storageFolders: [...run.storageFolders],
      ...buildSide,
      organizations,
      processes: run.processes,
      stop: () => run.teardown.run(),
    }
    if (options.devJsonFolder) keepDevJson(run, options.devJsonFolder, stack)
    return stack
  } catch (error) {
    // Asked to stop half way: what failed then failed because of that.
    const stopped = run.teardown.hasBegun
    await run.teardown.run()
    throw stopped ? new Failure('Stopped while starting.', 130) : error
  }
}
