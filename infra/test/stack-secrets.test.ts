import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeStackFolders } from '../src/stack/stack-folders.js'
import { describeConnections } from '../src/stack/stack-connections.js'
import { openStackSecrets } from '../src/stack/stack-secrets.js'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'secrets-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const mode = (file: string): number => statSync(file).mode & 0o777

test('secrets are made once, each in a file that only its owner can read', () => {
  const { secrets } = makeStackFolders(folder)
  const first = openStackSecrets(secrets)
  expect(mode(secrets)).toBe(0o700)
  for (const file of [first.masterKeyFile, first.deletionKeyFile, first.tokenPepperFile, first.databaseFiles.api])
    expect(mode(file)).toBe(0o400)
  expect(statSync(first.tokenPepperFile).size).toBe(32)
  expect(openStackSecrets(secrets)).toEqual(first)
})

test('two stacks share no secret', () => {
  const first = openStackSecrets(makeStackFolders(join(folder, 'a')).secrets)
  const second = openStackSecrets(makeStackFolders(join(folder, 'b')).secrets)
  expect(first.stackId).not.toBe(second.stackId)
  expect(first.postgresPassword).not.toBe(second.postgresPassword)
  expect(readFileSync(first.masterKeyFile, 'utf8')).not.toBe(readFileSync(second.masterKeyFile, 'utf8'))
})

test('the master key file is one line with a check sum', () => {
  const { masterKeyFile } = openStackSecrets(makeStackFolders(folder).secrets)
  const line = readFileSync(masterKeyFile, 'utf8')
  const [kind, id, key = '', sum] = line.trim().split(':')
  expect(kind).toBe('mk1')
  expect(Buffer.from(key, 'base64')).toHaveLength(32)
  expect(sum).toBe(crc32(`mk1:${id}:${key}`).toString(16).padStart(8, '0'))
})

test('a path too long for a socket gets its sockets elsewhere', () => {
  const short = makeStackFolders(join(folder, 'x'))
  expect(short.sockets).toBe(short.run)
  const long = makeStackFolders(join(folder, 'x'.repeat(90)))
  expect(Buffer.byteLength(long.sockets)).toBeLessThan(89)
  rmSync(long.sockets, { recursive: true })
})

test('no password reaches the settings of a process, whoever runs the servers', () => {
  const { secrets: place } = makeStackFolders(folder)
  const secrets = openStackSecrets(place)
  const own = describeConnections(
    'postgres://postgres:owner-pw@h:1/db',
    { url: 'redis://h:2', isOwn: true },
    secrets,
    place,
  )
  const existing = describeConnections(
    'postgres://me:owner-pw@h/db',
    { url: 'redis://u:redis-pw@h:2', isOwn: false },
    secrets,
    place,
  )
  expect(JSON.stringify([own, existing])).not.toMatch(/owner-pw|redis-pw/)
  expect(own.redis.worker['REDIS_USERNAME']).toBe('capstan_worker')
  expect(existing.redis.worker['REDIS_USERNAME']).toBe('u')
  expect(readFileSync(existing.redis.worker['REDIS_PASSWORD_FILE']!, 'utf8')).toBe('redis-pw')
  expect(own.database.broker['DATABASE_URL']).toBe('postgres://capstan_broker@h:1/db')
})
