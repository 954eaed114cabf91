import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import connect from 'postgres'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfig } from '../src/config.js'
import { findFreePort } from '../src/stack/choose-ports.js'
import type { DevJson } from '../src/stack/dev-json.js'
import { preparePostgres } from '../src/stack/start-postgres.js'
import { askRedis, prepareRedis } from '../src/stack/start-redis.js'
import { startStack } from '../src/stack/start-stack.js'
import { SupervisedProcess, type ProcessSpec } from '../src/stack/supervised-process.js'
import { builderImage } from './builder-image.js'

const config = readConfig()
const cleanUp: (() => Promise<void> | void)[] = []
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'existing-'))
  chmodSync(folder, 0o711)
  cleanUp.push(() => rmSync(folder, { recursive: true, force: true }))
})
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function run(spec: ProcessSpec): Promise<SupervisedProcess> {
  const server = new SupervisedProcess(spec, { onCrash: () => {}, onStarted: () => {}, onGivenUp: () => {} })
  cleanUp.push(() => server.stop())
  await server.start()
  return server
}

test('a stack on existing Postgres and Redis uses them and leaves them running', async () => {
  const { isRoot, baseEnv } = config
  const port = await findFreePort()
  const database = await preparePostgres({
    folder: join(folder, 'postgres'),
    port: await findFreePort(),
    password: 'owner-secret',
    isRoot,
    logFile: join(folder, 'postgres.log'),
    baseEnv,
    throwAway: true,
  })
  cleanUp.push(() => rmSync(database.folder, { recursive: true, force: true }))
  const queue = prepareRedis({
    folder: join(folder, 'redis'),
    port,
    isRoot,
    logFile: join(folder, 'redis.log'),
    baseEnv,
  })
  const postgres = await run(database.spec)
  await run(queue.spec)

  const stack = await startStack({
    config: { ...config, databaseUrl: database.url, redisUrl: queue.url },
    say: () => {},
    dataDir: join(folder, 'data'),
    devJsonFolder: join(folder, 'data'),
    ports: 'free',
    builderImage: builderImage(),
  })
  try {
    expect([...stack.processes.keys()].sort()).toEqual(['api', 'broker', 'control', 'worker'])
    expect(stack.storageFolders).toEqual([])
    const dev = JSON.parse(readFileSync(join(folder, 'data', 'dev.json'), 'utf8')) as DevJson
    const [demo, rival] = dev.organizations
    expect([demo?.name, rival?.name, dev.databaseUrl]).toEqual(['Demo', 'Rival', database.url])
    const token = demo?.tokens['viewer'] ?? ''
    const me = await fetch(`${dev.apiUrl}/v1/users/me`, { headers: { authorization: `Bearer ${token}` } })
    expect(await me.json()).toMatchObject({ email: demo?.users['viewer']?.email })
  } finally {
    await stack.stop()
  }
  expect(existsSync(join(folder, 'data', 'dev.json'))).toBe(false)

  const owner = connect(database.url, { max: 1 })
  await owner`insert into schema_migrations (name, sha256) values ('9999_newer.sql', 'x')`
  await owner.end()
  const onNewerData = startStack({
    config: { ...config, databaseUrl: database.url, redisUrl: queue.url },
    say: () => {},
    ports: 'free',
    builderImage: builderImage(),
  })
  await expect(onNewerData).rejects.toThrow(
    /^Migration 9999_newer.sql was applied by a newer version. .* start with other data/,
  )

  expect(await database.spec.isReady(0)).toBe(true)
  expect(postgres.pid).toBeDefined()
  expect(await askRedis(port, ['PING'])).toContain('+PONG')
})
