import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { freePort } from './free-port.js'
import { keystoreBytes, storePassword } from './keystore-fixtures.js'
import { storeApp } from './leased-build.js'
import { eventually, type OwnRedis, startOwnRedis } from './own-redis.js'
import { chooseSockets, type BrokerSocketPaths, writeDeletionKey } from './test-broker.js'

const NO_MEMORY = '00000000'
const running: ChildProcess[] = []
let fixture: Fixture
let redis: OwnRedis
let org: TestOrganization
let sockets: BrokerSocketPaths
let master: Buffer
let port: number

beforeAll(async () => {
  fixture = await createFixture()
  redis = await startOwnRedis()
  org = await fixture.createOrganization()
  sockets = await chooseSockets()
  master = randomBytes(32)
  const line = `mk1:primary:${master.toString('base64')}`
  await secret('master.key', `${line}:${crc32(line).toString(16).padStart(8, '0')}\n`)
  await secret('pepper', Buffer.from(fixture.deps.pepper))
  await secret('objects.key', randomBytes(32))
  port = await freePort()
})
afterAll(async () => {
  for (const child of running) child.kill('SIGKILL')
  await redis[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

async function secret(name: string, content: string | Buffer): Promise<string> {
  const path = join(fixture.folder, name)
  await writeFile(path, content, { mode: 0o600 })
  return path
}

async function databaseOf(role: 'api' | 'control' | 'broker') {
  const url = new URL(fixture.databaseUrl(role))
  const DATABASE_PASSWORD_FILE = await secret(`password-${role}`, url.password)
  url.password = ''
  return { DATABASE_URL: url.href, DATABASE_PASSWORD_FILE }
}

async function envOf(role: 'api' | 'control' | 'broker'): Promise<Record<string, string>> {
  const path = (name: string) => join(fixture.folder, name)
  const common = { ...(await databaseOf(role)), PUBLIC_URL: `http://127.0.0.1:${port}` }
  const BROKER_SEAL_SOCKET = sockets.sealSocket
  if (role === 'broker') {
    return {
      ...common,
      MASTER_KEY_FILE: path('master.key'),
      TOKEN_PEPPER_FILE: path('pepper'),
      BROKER_SEAL_SOCKET,
      BROKER_OPEN_SOCKET: sockets.openSocket,
      BROKER_ADMIN_SOCKET: sockets.adminSocket,
      KEY_STORE_DIR: path('keys'),
      DELETION_KEY_FILE: await writeDeletionKey(fixture.folder),
      CHECKPOINT_KEY_FILE: await writeDeletionKey(fixture.folder, 'checkpoint.pem'),
      CHECKPOINT_DIR: path('checkpoints'),
    }
  }
  const stores = { OBJECT_STORE_DIR: path('own-objects'), OBJECT_STORE_KEY_FILE: path('objects.key') }
  const both = { ...common, ...stores, REDIS_URL: redis.url }
  return role === 'api' ? { ...both, TOKEN_PEPPER_FILE: path('pepper'), BROKER_SEAL_SOCKET, PORT: String(port) } : both
}

/** In a folder of its own, allowed to leave a core dump of any size there. */
async function start(name: string, args: string[], env: Record<string, string>) {
  const cwd = join(fixture.folder, `cores-${name}`)
  await mkdir(cwd)
  const script = 'ulimit -c unlimited 2>/dev/null; exec "$0" "$@"'
  const child = spawn('/bin/sh', ['-c', script, process.execPath, ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.push(child)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (said += piece.toString()))
  await eventually(() => Promise.resolve(said.includes('ready')))
  return { child, cwd }
}

const entry = (name: string) => fileURLToPath(new URL(`../dist/${name}.js`, import.meta.url))
const filterOf = async ({ pid }: ChildProcess) => (await readFile(`/proc/${pid}/coredump_filter`, 'latin1')).trim()

/** Crashes it; what it left behind, or nothing where this machine writes no core files into the working folder. */
async function crash({ child, cwd }: Awaited<ReturnType<typeof start>>): Promise<Buffer> {
  const gone = once(child, 'close')
  child.kill('SIGABRT')
  expect(await gone).toEqual([null, 'SIGABRT'])
  return Buffer.concat(await Promise.all((await readdir(cwd)).map((name) => readFile(join(cwd, name)))))
}

/** With the wrong password, then as it is. */
async function upload(appId: string): Promise<string> {
  const wrong = `canary-${randomBytes(12).toString('hex')}`
  for (const [password, status] of [
    [wrong, 422],
    [storePassword, 201],
  ] as const) {
    const body = new FormData()
    body.append('file', new Blob([new Uint8Array(keystoreBytes('ec.p12'))]), 'x.p12')
    for (const [key, value] of Object.entries({ name: 'Key', platform: 'android', password })) body.append(key, value)
    const headers = { authorization: `Bearer ${org.tokens.admin}` }
    const url = `http://127.0.0.1:${port}/v1/apps/${appId}/certificates`
    expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(status)
  }
  return wrong
}

test('a crash of broker or API leaves nothing of what they held: no key, no file, no password', async () => {
  const broker = await start('broker', [entry('broker')], await envOf('broker'))
  const api = await start('api', [entry('main')], await envOf('api'))
  const wrong = await upload(await storeApp(fixture, org.id))
  expect([await filterOf(broker.child), await filterOf(api.child)]).toEqual([NO_MEMORY, NO_MEMORY])
  const held = [wrong, storePassword, org.tokens.admin, master, Buffer.from(fixture.deps.pepper)]
  const file = keystoreBytes('ec.p12').subarray(200, 240)
  for (const dead of [broker, api]) {
    const core = await crash(dead)
    for (const needle of [...held, file, file.toString('base64')]) expect(core.includes(needle)).toBe(false)
  }
})

test('the same crash of a process that did not see to it leaves what it held', async () => {
  const canary = `canary-${randomBytes(12).toString('hex')}`
  const script = `const held = process.env.HALF + '-and-more'; console.log('ready'); setInterval(() => held, 1000)`
  const careless = await start('careless', ['-e', script], { HALF: canary })
  expect(await filterOf(careless.child)).not.toBe(NO_MEMORY)
  const core = await crash(careless)
  // Where crash reporters take them, no core file is ever seen here.
  const pattern = await readFile('/proc/sys/kernel/core_pattern', 'latin1')
  if (!/^[|/]/.test(pattern)) expect(core.includes(canary)).toBe(true)
})

test('the control process sees to it as well', async () => {
  const control = await start('control', [entry('control')], await envOf('control'))
  expect(await filterOf(control.child)).toBe(NO_MEMORY)
})

test('where it cannot be had, a process ends with one sentence before it reads a secret', () => {
  const run = `import(${JSON.stringify(entry('leave-no-memory-in-cores'))}).then((own) => own.leaveNoMemoryInCores('/proc/absent/filter'))`
  const { status, stderr } = spawnSync(process.execPath, ['-e', run], { encoding: 'utf8' })
  expect([status, stderr.trim().split('\n')]).toEqual([
    78,
    [expect.stringMatching(/^Configuration: .* a crash could write keys to disk/)],
  ])
})
