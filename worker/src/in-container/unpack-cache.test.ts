import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { InvalidArchive, unpackCache } from './unpack-cache.js'

type Header = { name: string; type?: 'file' | 'symlink' | 'link' | 'character-device'; linkname?: string }

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'capstan-cache-'))))
afterEach(() => rmSync(folder, { recursive: true }))

const target = () => join(folder, 'target')

async function unpack(entries: readonly (Header & { content?: string })[], change = (bytes: Buffer) => bytes) {
  const archive = pack()
  for (const { content, ...header } of entries) {
    if (content === undefined) archive.entry(header)
    else archive.entry(header, content)
  }
  archive.finalize()
  writeFileSync(join(folder, 'cache.tar'), change(await buffer(archive)))
  return unpackCache(join(folder, 'cache.tar'), target())
}

test('what GNU tar packed comes out as it was: long names, modes, empty files and folders', () => {
  const source = join(folder, 'source')
  const deep = join('a'.repeat(90), 'b'.repeat(90), 'c'.repeat(90))
  mkdirSync(join(source, deep), { recursive: true })
  mkdirSync(join(source, 'empty'))
  writeFileSync(join(source, deep, 'ü.js'), 'x'.repeat(3_000_000))
  writeFileSync(join(source, 'none'), '')
  writeFileSync(join(source, 'run.sh'), '#!/bin/sh')
  chmodSync(join(source, 'run.sh'), 0o755)
  execFileSync('tar', ['--create', `--file=${join(folder, 'cache.tar')}`, '--format=gnu', '-C', source, '.'])
  unpackCache(join(folder, 'cache.tar'), target())
  for (const name of [join(deep, 'ü.js'), 'run.sh', 'none']) {
    expect(readFileSync(join(target(), name)).equals(readFileSync(join(source, name)))).toBe(true)
  }
  expect(existsSync(join(target(), 'empty'))).toBe(true)
  expect(statSync(join(target(), 'run.sh')).mode & 0o777).toBe(0o755)
  expect(statSync(join(target(), 'none')).mode & 0o777).toBe(0o644)
})

test('names of POSIX archives are put together of their two parts', async () => {
  const name = `${'p'.repeat(80)}/${'q'.repeat(80)}`
  expect(await unpack([{ name, content: 'x' }])).toBe(1)
  expect(readFileSync(join(target(), name), 'utf8')).toBe('x')
})

test.each<[string, Header[], RegExp]>([
  ['a path upwards', [{ name: '../x' }], /leaves the folder/],
  ['a path upwards in the middle', [{ name: 'a/../../x' }], /leaves the folder/],
  ['an absolute path', [{ name: '/etc/x' }], /leaves the folder/],
  ['a backslash', [{ name: 'a\\..\\x' }], /leaves the folder/],
  ['a link', [{ name: 'x', type: 'symlink', linkname: '/work/source' }], /neither a file nor a folder/],
  ['a hard link', [{ name: 'x', type: 'link', linkname: '../source' }], /neither a file nor a folder/],
  ['a device', [{ name: 'x', type: 'character-device' }], /neither a file nor a folder/],
  ['one path twice', [{ name: 'x' }, { name: './x' }], /occurs twice/],
  ['a path that is too deep', [{ name: Array.from({ length: 65 }, () => 'd').join('/') }], /too deep or too long/],
  ['a file below a file', [{ name: 'x' }, { name: 'x/y' }], /a folder and something else/],
])('%s is refused before anything is written', async (_name, entries, message) => {
  const attempt = unpack([{ name: 'before', content: 'x' }, ...entries.map((entry) => ({ content: '', ...entry }))])
  await expect(attempt).rejects.toThrow(message)
  expect(existsSync(target())).toBe(false)
})

test.each<[string, (bytes: Buffer) => Buffer]>([
  ['cut short', (bytes) => bytes.subarray(0, 700)],
  ['without an end', (bytes) => bytes.subarray(0, 1_024)],
  ['with a changed header', (bytes) => Buffer.from(bytes).fill('y', 0, 1)],
  ['with a size that is none', (bytes) => Buffer.from(bytes).fill('9', 124, 134)],
  ['that is something else', () => Buffer.from('PK'.repeat(2_000))],
  ['that is empty', () => Buffer.alloc(0)],
])('an archive %s is refused', async (_name, change) => {
  await expect(unpack([{ name: 'x', content: 'content' }], change)).rejects.toBeInstanceOf(InvalidArchive)
  expect(existsSync(target())).toBe(false)
})

/** As fast as hundreds of megabytes need it; `name` goes into a header of its own, as GNU tar puts long ones. */
function rawEntry(name: string, type: '0' | '5' = '0'): Buffer {
  const header = (title: string, kind: string, size: number) => {
    const bytes = Buffer.alloc(512)
    bytes.write(title, 0, 100)
    bytes.write('0000644\0', 100)
    bytes.write(size.toString(8).padStart(11, '0'), 124)
    bytes.write(' '.repeat(8), 148)
    bytes.write(kind, 156)
    bytes.write('ustar  \0', 257, 'latin1')
    const sum = bytes.subarray(0, 265).reduce((total, byte) => total + byte, 0)
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return bytes
  }
  const padded = Buffer.alloc(Math.ceil((name.length + 1) / 512) * 512)
  padded.write(name)
  return Buffer.concat([header('././@LongLink', 'L', name.length + 1), padded, header(name.slice(0, 99), type, 0)])
}

test.each([
  ['a name that no file system has', 1, () => 'n'.repeat(256), /too deep or too long/],
  [
    'names that would fill the memory',
    17_000,
    (n: number) => `${n}${`/${'n'.repeat(200)}`.repeat(20)}`,
    /names in it are too long together/,
  ],
  [
    'folders that would fill the memory',
    8_200,
    (n: number) => `${n}/${Array.from({ length: 62 }, (_, at) => at).join('/')}/x`,
    /500000 folders/,
  ],
])('an archive with %s is refused before anything is written', (_name, count, name, said) => {
  const entries = Array.from({ length: count }, (_, n) => rawEntry(name(n)))
  writeFileSync(join(folder, 'cache.tar'), Buffer.concat([...entries, Buffer.alloc(1_024)]))
  expect(() => unpackCache(join(folder, 'cache.tar'), target())).toThrow(said)
  expect(existsSync(target())).toBe(false)
})
