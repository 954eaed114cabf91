import { spawnSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ZipInput } from '../../test/make-zip.js'
import { makeZip } from '../../test/make-zip.js'
import { inContainerScript, scriptRunner } from '../in-container-script.js'
import { InvalidArchive, exitInvalid, unpackSource } from './unpack-source.js'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'capstan-unpack-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

const target = () => join(folder, 'out')

async function unpack(zip: Buffer): Promise<number> {
  writeFileSync(join(folder, 'source.zip'), zip)
  return unpackSource(join(folder, 'source.zip'), target())
}

const link = (name: string, to: string): ZipInput => ({ name, content: to, mode: 0o120777 })

test('files, folders, modes and inner links arrive as they were packed', async () => {
  const content = Buffer.alloc(3 << 20, 'big')
  const entries: ZipInput[] = [
    { name: 'app/', mode: 0o40755 },
    { name: 'app/gradlew', content: '#!/bin/sh\n', mode: 0o100755 },
    { name: 'app/größe.txt', content: 'ü' },
    { name: 'app/empty' },
    { name: 'big', content },
    link('app/link', '../big'),
    link('dangling', 'app/nothing-yet'),
  ]
  expect(await unpack(makeZip(entries))).toBe(7)
  expect(lstatSync(join(target(), 'app/gradlew')).mode & 0o777).toBe(0o755)
  expect(lstatSync(join(target(), 'app/größe.txt')).mode & 0o111).toBe(0)
  expect(readFileSync(join(target(), 'app/link')).equals(content)).toBe(true)
  expect(readlinkSync(join(target(), 'dangling'))).toBe('app/nothing-yet')
  expect(readFileSync(join(target(), 'app/empty'))).toHaveLength(0)
})

test('set-user-id bits are dropped', async () => {
  await unpack(makeZip([{ name: 'tool', mode: 0o104755 }]))
  expect(lstatSync(join(target(), 'tool')).mode & 0o7000).toBe(0)
})

describe('an archive is refused before anything is written when', () => {
  const refused: [string, Buffer][] = [
    ['a path climbs out', makeZip([{ name: 'ok' }, { name: '../evil' }])],
    ['a path climbs out in the middle', makeZip([{ name: 'a/../../evil' }])],
    ['a path is absolute', makeZip([{ name: '/etc/evil' }])],
    ['a path has a drive letter', makeZip([{ name: 'C:/evil' }])],
    ['a path has a backslash', makeZip([{ name: '..\\evil' }])],
    ['a path has an empty part', makeZip([{ name: 'a//b' }])],
    ['a path has a NUL', makeZip([{ name: 'a\0b' }])],
    ['a path has a dot part', makeZip([{ name: './a' }])],
    ['a name is not UTF-8', makeZip([{ name: Buffer.from([0x66, 0xff]) }])],
    ['a path occurs twice', makeZip([{ name: 'a' }, { name: 'a' }])],
    ['a folder is also a file', makeZip([{ name: 'a' }, { name: 'a/b' }])],
    ['a folder is also a link', makeZip([link('a', '.'), { name: 'a/b' }])],
    ['an entry is a device', makeZip([{ name: 'a', mode: 0o060644 }])],
    ['an entry is a FIFO', makeZip([{ name: 'a', mode: 0o010644 }])],
    ['a compression is unknown', makeZip([{ name: 'a', method: 12 }])],
    ['it is empty', makeZip([])],
    ['it is cut short', makeZip([{ name: 'a', content: 'x'.repeat(1_000) }]).subarray(0, 60)],
    ['it is no archive', Buffer.from('this is not a zip archive')],
  ]
  test.each(refused)('%s', async (_, zip) => {
    await expect(unpack(zip)).rejects.toBeInstanceOf(InvalidArchive)
    expect(existsSync(target())).toBe(false)
    expect(readdirSync(folder)).toEqual(['source.zip'])
  })
})

describe('an archive is refused when', () => {
  const damaged = makeZip([{ name: 'a', content: 'some text that is long enough' }])
  damaged.writeUInt8(damaged.readUInt8(40) ^ 1, 40)
  const refused: [string, Buffer][] = [
    ['its bytes are damaged', damaged],
    ['a file is larger than announced', makeZip([{ name: 'a', content: 'x'.repeat(10_000), claimedBytes: 10 }])],
    ['a file is smaller than announced', makeZip([{ name: 'a', content: 'x', claimedBytes: 10_000 }])],
    ['a link is absolute', makeZip([link('a', '/etc/passwd')])],
    ['a link climbs out', makeZip([link('a/b', '../../etc/passwd')])],
    [
      'two links climb out together',
      makeZip([{ name: 'd/e/x' }, link('d/e/up', '../..'), link('d/e/out', 'up/../outside')]),
    ],
  ]
  test.each(refused)('%s', async (_, zip) => {
    writeFileSync(join(folder, 'outside'), 'outside')
    await expect(unpack(zip)).rejects.toBeInstanceOf(InvalidArchive)
  })
})

test('a zip bomb stops at the size it announced', async () => {
  const startedAt = Date.now()
  await expect(unpack(makeZip([{ name: 'a', content: Buffer.alloc(100 << 20), claimedBytes: 1_000 }]))).rejects.toThrow(
    /larger/,
  )
  expect(Date.now() - startedAt).toBeLessThan(60_000)
  expect(lstatSync(join(target(), 'a')).size).toBeLessThan(1 << 20)
})

describe('as the script that the container runs', () => {
  const run = async (zip: Buffer) => {
    writeFileSync(join(folder, 'source.zip'), zip)
    const [, ...args] = scriptRunner
    const input = await inContainerScript('unpack-source')
    return spawnSync(process.execPath, [...args, join(folder, 'source.zip'), target()], { input, encoding: 'utf8' })
  }

  test('it unpacks and counts', async () => {
    expect(await run(makeZip([{ name: 'a', content: 'text' }]))).toMatchObject({ status: 0, stdout: '1 entries\n' })
    expect(readFileSync(join(target(), 'a'), 'utf8')).toBe('text')
  })

  test('it refuses with one line and an exit code of its own', async () => {
    const { status, stderr } = await run(makeZip([{ name: '../evil' }]))
    expect(status).toBe(exitInvalid)
    expect(stderr).toBe('the path "../evil" is absolute or leaves the project folder\n')
  })
})
