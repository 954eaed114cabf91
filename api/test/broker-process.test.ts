import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'

import { createTestDatabase, type TestDatabase } from '@capstan/migrations/testing'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { askSocket, writeDeletionKey } from './test-broker.js'

const entry = fileURLToPath(new URL('../dist/broker.js', import.meta.url))
let database: TestDatabase
let folder: string
let env: Record<'BROKER_SEAL_SOCKET' | 'BROKER_OPEN_SOCKET', string> & Record<string, string>
const running: ChildProcess[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  folder = mkdtempSync(join(tmpdir(), 'capstan-broker-process-'))
  const text = `mk1:primary:${randomBytes(32).toString('base64')}`
  secretFile('master.key', `${text}:${crc32(text).toString(16).padStart(8, '0')}\n`)
  secretFile('pepper', randomBytes(32))
  const url = new URL(database.url('broker'))
  secretFile('password', url.password)
  url.password = ''
  env = {
    DATABASE_URL: url.href,
    DATABASE_PASSWORD_FILE: join(folder, 'password'),
    MASTER_KEY_FILE: join(folder, 'master.key'),
    TOKEN_PEPPER_FILE: join(folder, 'pepper'),
    BROKER_SEAL_SOCKET: join(folder, 'seal.sock'),
    BROKER_OPEN_SOCKET: join(folder, 'open.sock'),
    BROKER_ADMIN_SOCKET: join(folder, 'admin.sock'),
    KEY_STORE_DIR: join(folder, 'keys'),
    DELETION_KEY_FILE: await writeDeletionKey(folder),
    CHECKPOINT_KEY_FILE: await writeDeletionKey(folder),
    CHECKPOINT_DIR: join(folder, 'checkpoints'),
    PUBLIC_URL: 'http://capstan.test',
  }
})
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await database[Symbol.asyncDispose]()
})

function secretFile(name: string, content: string | Buffer): string {
  const path = join(folder, name)
  writeFileSync(path, content, { mode: 0o600 })
  return path
}

function start(change: Record<string, string> = {}) {
  const child = spawn(process.execPath, [entry], { env: { ...env, ...change }, stdio: ['ignore', 'pipe', 'pipe'] })
  running.push(child)
  let out = ''
  let err = ''
  child.stderr.on('data', (piece: Buffer) => (err += piece.toString()))
  const ready = new Promise<void>((resolve) => {
    child.stdout.on('data', (piece: Buffer) => {
      out += piece.toString()
      if (out.includes('"msg":"ready"')) resolve()
    })
  })
  const ended = new Promise<{ code: number | null; err: string; out: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, err, out }))
  })
  return { child, ready, ended }
}

describe('the broker process', () => {
  test('becomes ready, answers, and ends with 0 on SIGTERM, leaving no socket', async () => {
    const { child, ready, ended } = start()
    await ready
    expect((await askSocket(env.BROKER_SEAL_SOCKET, '/health', { method: 'GET' })).status).toBe(200)
    child.kill('SIGTERM')
    const { code, out, err } = await ended
    expect([code, err]).toEqual([0, ''])
    for (const line of out.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg')
    expect(existsSync(env.BROKER_SEAL_SOCKET)).toBe(false)
  })

  test('opens no debugger on SIGUSR1', async () => {
    const { child, ready, ended } = start()
    await ready
    child.kill('SIGUSR1')
    expect((await askSocket(env.BROKER_SEAL_SOCKET, '/health', { method: 'GET' })).status).toBe(200)
    await new Promise((resolve) => setTimeout(resolve, 300))
    child.kill('SIGTERM')
    expect(await ended).toMatchObject({ code: 0, err: '', out: expect.stringContaining('SIGUSR1 ignored') as string })
  })

  test('killed with -9 it starts again over the sockets it left', async () => {
    const first = start()
    await first.ready
    first.child.kill('SIGKILL')
    await first.ended
    expect(existsSync(env.BROKER_OPEN_SOCKET)).toBe(true)
    const second = start()
    await second.ready
    expect((await askSocket(env.BROKER_OPEN_SOCKET, '/open', { body: {} })).status).toBe(403)
  })

  test('a second one on the same sockets is refused and the first goes on', async () => {
    const first = start()
    await first.ready
    expect(await start().ended).toMatchObject({
      code: 78,
      err: expect.stringContaining('another broker listens') as string,
    })
    expect((await askSocket(env.BROKER_SEAL_SOCKET, '/health', { method: 'GET' })).status).toBe(200)
  })

  const cases: [string, () => Record<string, string>, RegExp][] = [
    ['no root key is named', () => ({ MASTER_KEY_FILE: '' }), /set MASTER_KEY_FILE or KMS_KEY_ID/],
    ['KMS is named without a region', () => ({ KMS_KEY_ID: 'alias/root' }), /KMS_KEY_ID needs AWS_REGION/],
    ['no key store is named', () => ({ KEY_STORE_DIR: '' }), /KEY_STORE_DIR/],
    ['the key store is a file', () => ({ KEY_STORE_DIR: secretFile('store', 'x') }), /KEY_STORE_DIR: .* not a folder/],
    [
      'the key store is open to others',
      () => {
        const open = join(folder, 'open-store')
        mkdirSync(open, { recursive: true })
        chmodSync(open, 0o755)
        return { KEY_STORE_DIR: open }
      },
      /KEY_STORE_DIR: .* run chmod 700/,
    ],
    [
      'the deletion key is of another kind',
      () => ({ DELETION_KEY_FILE: secretFile('rsa', 'x') }),
      /DELETION_KEY_FILE: .* not one Ed25519/,
    ],
    [
      'the key of checkpoints is another kind of key',
      () => ({ CHECKPOINT_KEY_FILE: secretFile('other', 'x') }),
      /CHECKPOINT_KEY_FILE: .* not one Ed25519/,
    ],
    [
      'the master key is absent',
      () => ({ MASTER_KEY_FILE: join(folder, 'none') }),
      /MASTER_KEY_FILE: .* does not exist/,
    ],
    [
      'the master key is no key',
      () => ({ MASTER_KEY_FILE: secretFile('bad', 'hello') }),
      /MASTER_KEY_FILE: .* not one line/,
    ],
    ['the pepper is short', () => ({ TOKEN_PEPPER_FILE: secretFile('short', randomBytes(16)) }), /exactly 32/],
    [
      'a socket folder is absent',
      () => ({ BROKER_OPEN_SOCKET: '/nowhere/open.sock' }),
      /BROKER_OPEN_SOCKET: the folder/,
    ],
    ['a file stands in the way', () => ({ BROKER_OPEN_SOCKET: secretFile('file', 'x') }), /exists and is not a socket/],
    [
      'the path is too long',
      () => ({ BROKER_SEAL_SOCKET: `${folder}/${'x'.repeat(120)}` }),
      /BROKER_SEAL_SOCKET: .* longer/,
    ],
    [
      'everybody may write beside the socket',
      () => {
        const open = join(folder, 'open-folder')
        mkdirSync(open, { recursive: true })
        chmodSync(open, 0o777)
        return { BROKER_SEAL_SOCKET: join(open, 'seal.sock') }
      },
      /everybody may write/,
    ],
  ]
  test.each(cases)('ends with 78 and one sentence when %s', async (_, change, message) => {
    const { code, err } = await start(change()).ended
    expect(err).toMatch(message)
    expect([code, err.trim().split('\n').length]).toEqual([78, 1])
  })
})

test('a living stranger on the socket path is not pushed aside', async () => {
  const path = join(folder, 'stranger.sock')
  const stranger = createServer((socket) => socket.end())
  await new Promise<void>((resolve) => stranger.listen(path, resolve))
  expect((await start({ BROKER_SEAL_SOCKET: path }).ended).code).toBe(78)
  expect(existsSync(path)).toBe(true)
  await new Promise((resolve) => stranger.close(resolve))
})
