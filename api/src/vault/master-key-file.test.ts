import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { readMasterKeyFile } from './master-key-file.js'
import { readRawKeyFile } from './read-secret-file.js'

let dir: string
let count = 0
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'capstan-keys-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

function line(key: Buffer, id = 'primary'): string {
  const text = `mk1:${id}:${key.toString('base64')}`
  return `${text}:${crc32(text).toString(16).padStart(8, '0')}\n`
}

function file(content: string | Uint8Array, mode = 0o400): string {
  count += 1
  const path = join(dir, `key-${count}`)
  writeFileSync(path, content, { mode })
  chmodSync(path, mode)
  return path
}

describe('master key file', () => {
  test('a good one gives id and key', async () => {
    const key = randomBytes(32)
    for (const mode of [0o400, 0o600]) {
      const [read, ...older] = await readMasterKeyFile(file(line(key), mode))
      expect(older).toEqual([])
      expect(read.id).toBe('primary')
      read.key.use((bytes) => expect(bytes).toEqual(key))
    }
  })

  test('the first line is the primary, the others are older', async () => {
    const keys = ['new', 'old', 'older'].map((id) => line(randomBytes(32), id)).join('')
    expect((await readMasterKeyFile(file(keys))).map(({ id }) => id)).toEqual(['new', 'old', 'older'])
  })

  const good = line(randomBytes(32))
  const weak = (bytes: number[]) => line(Buffer.from(bytes))
  const cases: [string, () => string, RegExp][] = [
    ['is absent', () => join(dir, 'absent'), /does not exist/],
    ['is empty', () => file(''), /is empty/],
    ['is readable by the group', () => file(good, 0o440), /open to group or others; run chmod 600/],
    ['is readable by others', () => file(good, 0o604), /open to group or others/],
    ['is writable by the group', () => file(good, 0o620), /open to group or others/],
    ['is large', () => file(Buffer.alloc(5000, 65)), /too large/],
    ['has no checksum', () => file(good.slice(0, good.lastIndexOf(':'))), /not one line of the form/],
    ['has a wrong checksum', () => file(good.replace(/:[0-9a-f]{8}\n$/, ':00000000\n')), /checksum .* does not fit/],
    ['has another id than it was made with', () => file(good.replace('primary', 'secondary')), /checksum/],
    ['holds one id twice', () => file(good + line(randomBytes(32))), /two keys of one id/],
    ['holds an empty line', () => file(`${good}\n${line(randomBytes(32), 'older')}`), /not one line/],
    [
      'holds nine keys',
      () => file(Array.from({ length: 9 }, (_, index) => line(randomBytes(32), `k${index}`)).join('')),
      /more than 8 keys/,
    ],
    ['holds 31 bytes', () => file(line(randomBytes(31))), /not one line/],
    ['holds 33 bytes', () => file(line(randomBytes(33))), /not one line/],
    ['holds zeros', () => file(weak(Array.from({ length: 32 }, () => 0))), /does not look random/],
    ['counts up', () => file(weak(Array.from({ length: 32 }, (_, index) => index))), /does not look random/],
    ['repeats', () => file(weak(Array.from({ length: 32 }, (_, index) => (index * 37) % 8))), /does not look random/],
  ]
  test.each(cases)('one that %s is refused', async (_, make, message) => {
    await expect(readMasterKeyFile(make())).rejects.toThrow(message)
  })

  test('a symbolic link is refused, its target is not', async () => {
    const target = file(good)
    const path = join(dir, 'link')
    symlinkSync(target, path)
    await expect(readMasterKeyFile(path)).rejects.toThrow(/symbolic link/)
    expect((await readMasterKeyFile(target))[0].id).toBe('primary')
  })

  test('a folder and a named pipe are refused at once', async () => {
    const folder = join(dir, 'folder')
    mkdirSync(folder, { mode: 0o700 })
    await expect(readMasterKeyFile(folder)).rejects.toThrow(/not a regular file/)
    const pipe = join(dir, 'pipe')
    execFileSync('/usr/bin/mkfifo', ['-m', '600', pipe])
    await expect(readMasterKeyFile(pipe)).rejects.toThrow(/not a regular file/)
  })

  test.runIf(process.geteuid?.() === 0)('a file of another user is refused', async () => {
    const path = file(good)
    chownSync(path, 4242, 4242)
    await expect(readMasterKeyFile(path)).rejects.toThrow(/belongs to user 4242/)
  })

  test('no message quotes the key', async () => {
    const key = randomBytes(32)
    const broken = line(key).replace(/:[0-9a-f]{8}\n$/, ':zzzzzzzz\n')
    const error: unknown = await readMasterKeyFile(file(broken)).catch((caught: unknown) => caught)
    expect(String(error)).not.toContain(key.toString('base64').slice(0, 8))
  })
})

describe('raw key file', () => {
  test('32 random bytes are taken, other lengths and placeholders refused', async () => {
    const key = randomBytes(32)
    expect(await readRawKeyFile(file(key), 'TOKEN_PEPPER_FILE')).toEqual(key)
    for (const length of [31, 33, 64]) {
      await expect(readRawKeyFile(file(randomBytes(length)), 'TOKEN_PEPPER_FILE')).rejects.toThrow(/exactly 32/)
    }
    await expect(readRawKeyFile(file(Buffer.alloc(32, 0x61)), 'TOKEN_PEPPER_FILE')).rejects.toThrow(
      /^TOKEN_PEPPER_FILE: .* does not look random/,
    )
  })
})
