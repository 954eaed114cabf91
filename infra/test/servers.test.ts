import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfig } from '../src/config.js'
import { findFreePort } from '../src/stack/choose-ports.js'
import { isReachableByOthers, reachableFolder } from '../src/stack/reachable-folder.js'
import { preparePostgres } from '../src/stack/start-postgres.js'
import { askRedis, prepareRedis } from '../src/stack/start-redis.js'
import { SupervisedProcess, type ProcessSpec } from '../src/stack/supervised-process.js'

const { isRoot, baseEnv } = readConfig()
const cleanUp: (() => Promise<void> | void)[] = []
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'servers-'))
  chmodSync(folder, 0o711)
  cleanUp.push(() => rmSync(folder, { recursive: true, force: true }))
})
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function run(spec: ProcessSpec): Promise<SupervisedProcess> {
  const server = new SupervisedProcess(spec, {
    onCrash: (message) => {
      throw new Error(message)
    },
    onStarted: () => {},
    onGivenUp: () => {},
  })
  cleanUp.push(() => server.stop())
  await server.start()
  return server
}

async function postgresIn(place: string) {
  const prepared = await preparePostgres({
    folder: place,
    port: await findFreePort(),
    password: 'correct-horse',
    isRoot,
    logFile: join(folder, 'postgres.log'),
    baseEnv,
    throwAway: true,
  })
  cleanUp.push(() => rmSync(prepared.folder, { recursive: true, force: true }))
  return prepared
}

async function select(url: string): Promise<unknown> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    return (await sql`select current_user as user`)[0]
  } finally {
    await sql.end({ timeout: 1 })
  }
}

test('Postgres takes its password and refuses another', async () => {
  const { spec, url } = await postgresIn(join(folder, 'postgres'))
  await run(spec)
  expect(await select(url)).toEqual({ user: 'postgres' })
  await expect(select(url.replace('correct-horse', 'wrong'))).rejects.toThrow(/password authentication failed/)
})

test.runIf(isRoot)('Postgres runs from a folder that only root can enter', async () => {
  const home = join(folder, 'home')
  mkdirSync(home, { mode: 0o700 })
  const { spec, url, folder: placed } = await postgresIn(join(home, 'checkout', 'postgres'))
  expect(placed.startsWith(home)).toBe(false)
  await run(spec)
  expect(await select(url)).toEqual({ user: 'postgres' })
  expect(statSync(placed).uid).toBe(65_534)
})

test('a folder is reachable only when every folder above it lets others through', () => {
  const inner = join(folder, 'a', 'b')
  mkdirSync(inner, { recursive: true, mode: 0o755 })
  expect(isReachableByOthers(inner)).toBe(isReachableByOthers(dirname(folder)))
  chmodSync(join(folder, 'a'), 0o700)
  expect(isReachableByOthers(inner)).toBe(false)
  expect(reachableFolder(inner, false)).toBe(inner)
})

test('each Redis user reaches its own keys and nothing else, and there is no anonymous one', async () => {
  const port = await findFreePort()
  const passwords = { capstan_api: 'api-secret', capstan_control: 'control-secret', capstan_worker: 'worker-secret' }
  const { spec } = prepareRedis({
    folder: join(folder, 'redis'),
    port,
    passwords,
    isRoot,
    logFile: join(folder, 'r.log'),
    baseEnv,
  })
  await run(spec)
  const worker = ['capstan_worker', 'worker-secret'] as const
  const ask = (command: string, login?: readonly [string, string]) => askRedis(port, command.split(' '), login)
  expect(await ask('SET bull:builds:1 x', worker)).toContain('+OK\r\n+OK')
  expect(await ask('SET log:1 x', worker)).toContain('NOPERM')
  expect(await ask('SET log:1 x', ['capstan_api', 'api-secret'])).toContain('+OK\r\n+OK')
  expect(await ask('FLUSHALL', worker)).toContain('NOPERM')
  expect(await ask('CONFIG GET dir', ['capstan_api', 'api-secret'])).toContain('NOPERM')
  expect(await ask('PING', ['capstan_worker', 'api-secret'])).toContain('WRONGPASS')
  expect(await ask('PING')).toContain('NOAUTH')
})

test('Redis keeps what it was told across kill -9', async () => {
  const port = await findFreePort()
  const { spec } = prepareRedis({
    folder: join(folder, 'redis'),
    port,
    isRoot,
    logFile: join(folder, 'r.log'),
    baseEnv,
  })
  const seen: number[] = []
  const server = new SupervisedProcess(spec, {
    onCrash: () => {},
    onStarted: (_n, { pid }) => seen.push(pid),
    onGivenUp: () => {},
  })
  cleanUp.push(() => server.stop())
  await server.start()
  await askRedis(port, ['SET', 'kept', 'yes'])
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  server.kill()
  await expect.poll(() => seen.length).toBe(2)
  await expect.poll(() => askRedis(port, ['GET', 'kept']).catch(() => '')).toContain('yes')
})
