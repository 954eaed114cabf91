import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestApp, jobOf, queueBuild } from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'
import { eventually, type OwnRedis, startOwnRedis } from './own-redis.js'

const entry = fileURLToPath(new URL('../dist/control.js', import.meta.url))
const password = randomBytes(12).toString('hex')
let own: OwnRedis
let fixture: Fixture
let env: Record<string, string>

beforeAll(async () => {
  own = await startOwnRedis({ password })
  fixture = await createFixture()
  const database = new URL(fixture.databaseUrl('control'))
  const secrets = { database: database.password, redis: password, 'control.key': randomBytes(32) }
  for (const [name, secret] of Object.entries(secrets)) {
    await writeFile(join(fixture.folder, name), secret, { mode: 0o600 })
  }
  database.password = ''
  env = {
    PATH: process.env.PATH ?? '',
    DATABASE_URL: database.href,
    DATABASE_PASSWORD_FILE: join(fixture.folder, 'database'),
    REDIS_URL: own.url,
    REDIS_USERNAME: 'default',
    REDIS_PASSWORD_FILE: join(fixture.folder, 'redis'),
    OBJECT_STORE_DIR: join(fixture.folder, 'control-objects'),
    OBJECT_STORE_KEY_FILE: join(fixture.folder, 'control.key'),
    PUBLIC_URL: 'http://127.0.0.1:4400',
    RELAY_MS: '50',
    SWEEP_MS: '200',
  }
})
afterAll(async () => {
  await fixture[Symbol.asyncDispose]()
  await own[Symbol.asyncDispose]()
})

function start() {
  const child = spawn(process.execPath, [entry], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (piece: Buffer) => (said += piece.toString()))
  child.stderr.on('data', (piece: Buffer) => (said += piece.toString()))
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  const isReady = () => eventually(() => Promise.resolve(said.includes('"msg":"ready"')))
  return { child, ended, isReady, said: () => said }
}

test('rings for builds, outlives a Redis that dies, and ends with 0 at once, also while Redis is away', async () => {
  const app = await createTestApp(fixture)
  const control = start()
  try {
    await control.isReady()
    const build = await queueBuild(fixture, app)
    await eventually(async () => (await jobOf(fixture, build)).status === 'pending')
    const redis = new Redis(own.url, { password })
    expect(await redis.exists(`bull:builds:build-${build.id}-1`)).toBe(1)
    redis.disconnect()

    await own.kill()
    const waiting = await queueBuild(fixture, app)
    await eventually(() => Promise.resolve(control.said().includes('builds wait')))
    expect(await jobOf(fixture, waiting)).toMatchObject({ status: 'queued' })
    await own.start()
    await eventually(async () => (await jobOf(fixture, waiting)).status === 'pending')

    await own.kill()
    const asked = Date.now()
    control.child.kill('SIGTERM')
    expect(await control.ended).toBe(0)
    expect(Date.now() - asked).toBeLessThan(60_000)
    for (const each of control.said().trim().split('\n'))
      expect(JSON.parse(each)).toMatchObject({ component: 'control' })
    expect(control.said()).not.toContain(password)
  } finally {
    control.child.kill('SIGKILL')
  }
})
