// Runs inside the build container (`node --input-type=module - <archive> <directory>`), so that a hostile archive meets
// the worker nowhere. One file, Node built-ins only.
import { createWriteStream } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { mkdir, open, readlink, realpath, symlink } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as zlib from 'node:zlib'

const entryCap = 65_535
const nameCap = 4_096
const linkCap = 4_096

export const exitInvalid = 3
export const exitDiskFull = 4

type Entry = {
  name: string
  kind: 'file' | 'directory' | 'symlink'
  mode: number
  method: number
  crc: number
  packedBytes: number
  bytes: number
  headerOffset: number
}

export class InvalidArchive extends Error {
  override name = 'InvalidArchive'
}

/** Unpacks a source archive with its Unix modes. Everything is validated before the first file is written. */
export async function unpackSource(archive: string, directory: string): Promise<number> {
  const file = await open(archive, 'r')
  try {
    const entries = await readEntries(file)
    refuseCollisions(entries)
    await mkdir(directory, { recursive: true })
    const plain = entries.filter(({ kind }) => kind !== 'symlink')
    for (const entry of plain) await writeEntry(file, entry, directory)
    // Links come last: no file can be written through one.
    const links = entries.filter(({ kind }) => kind === 'symlink')
    for (const entry of links) await writeLink(file, entry, directory)
    for (const entry of links) await refuseEscape(entry, directory)
    return entries.length
  } finally {
    await file.close()
  }
}

async function readEntries(file: FileHandle): Promise<Entry[]> {
  const { size } = await file.stat()
  const tail = await readAt(file, Math.max(0, size - 65_557), Math.min(size, 65_557))
  const end = tail.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'))
  if (end < 0 || end + 22 > tail.length) throw new InvalidArchive('it is not a complete zip archive')
  const count = tail.readUInt16LE(end + 10)
  const directoryBytes = tail.readUInt32LE(end + 12)
  const directoryOffset = tail.readUInt32LE(end + 16)
  if (directoryOffset === 0xffffffff || directoryBytes === 0xffffffff) {
    throw new InvalidArchive('it is larger than 4 GiB, which is not supported')
  }
  if (tail.readUInt16LE(end + 8) !== count) throw new InvalidArchive('it is one part of a split archive')
  if (count === 0) throw new InvalidArchive('it is empty')
  if (count > entryCap || directoryOffset + directoryBytes > size) throw new InvalidArchive('its directory is damaged')
  const directory = await readAt(file, directoryOffset, directoryBytes)
  const entries: Entry[] = []
  let at = 0
  for (let n = 0; n < count; n++) {
    const { entry, next } = readEntry(directory, at)
    entries.push(entry)
    at = next
  }
  return entries
}

function readEntry(directory: Buffer, at: number): { entry: Entry; next: number } {
  if (at + 46 > directory.length || directory.readUInt32LE(at) !== 0x02014b50) {
    throw new InvalidArchive('its directory is damaged')
  }
  const nameBytes = directory.readUInt16LE(at + 28)
  const next = at + 46 + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32)
  if (next > directory.length || nameBytes > nameCap) throw new InvalidArchive('its directory is damaged')
  const rawName = directory.subarray(at + 46, at + 46 + nameBytes)
  const isUnix = directory.readUInt8(at + 5) === 3
  const unixMode = isUnix ? directory.readUInt32LE(at + 38) >>> 16 : 0
  const name = checkedName(rawName)
  const method = directory.readUInt16LE(at + 10)
  if ((directory.readUInt16LE(at + 8) & 1) === 1) throw new InvalidArchive(`${quote(name)} is encrypted`)
  if (method !== 0 && method !== 8) throw new InvalidArchive(`${quote(name)} uses compression method ${method}`)
  const entry: Entry = {
    name: name.replace(/\/$/, ''),
    kind: kindOf(name, unixMode),
    mode: unixMode & 0o777,
    method,
    crc: directory.readUInt32LE(at + 16),
    packedBytes: directory.readUInt32LE(at + 20),
    bytes: directory.readUInt32LE(at + 24),
    headerOffset: directory.readUInt32LE(at + 42),
  }
  return { entry, next }
}

function checkedName(raw: Buffer): string {
  let name: string
  try {
    name = new TextDecoder('utf-8', { fatal: true }).decode(raw)
  } catch {
    throw new InvalidArchive('a file name in it is not UTF-8')
  }
  const segments = name.replace(/\/$/, '').split('/')
  const isAbsolute = name.startsWith('/') || /^[A-Za-z]:/.test(name)
  const isOdd = segments.some((segment) => segment === '' || segment === '.' || segment === '..')
  if (isAbsolute || isOdd || name.includes('\\') || name.includes('\0')) {
    throw new InvalidArchive(`the path ${quote(name)} is absolute or leaves the project folder`)
  }
  return name
}

function kindOf(name: string, unixMode: number): Entry['kind'] {
  const type = unixMode & 0o170000
  if (type === 0o120000) return 'symlink'
  if (name.endsWith('/') || type === 0o040000) return 'directory'
  if (type === 0 || type === 0o100000) return 'file'
  throw new InvalidArchive(`${quote(name)} is neither a file nor a folder nor a link`)
}

function refuseCollisions(entries: readonly Entry[]): void {
  const kinds = new Map<string, Entry['kind']>()
  for (const { name, kind } of entries) {
    if (kinds.has(name)) throw new InvalidArchive(`the path ${quote(name)} occurs twice`)
    kinds.set(name, kind)
  }
  for (const { name } of entries) {
    for (let parent = posix.dirname(name); parent !== '.'; parent = posix.dirname(parent)) {
      if ((kinds.get(parent) ?? 'directory') !== 'directory') {
        throw new InvalidArchive(`the path ${quote(parent)} is a folder and something else`)
      }
    }
  }
}

async function writeEntry(file: FileHandle, entry: Entry, directory: string): Promise<void> {
  const target = join(directory, entry.name)
  if (entry.kind === 'directory') {
    await mkdir(target, { recursive: true })
    return
  }
  await mkdir(dirname(target), { recursive: true })
  const mode = entry.mode === 0 ? 0o644 : entry.mode | 0o600
  await pipeline(await contentOf(file, entry), createWriteStream(target, { flags: 'wx', mode }))
}

async function writeLink(file: FileHandle, entry: Entry, directory: string): Promise<void> {
  if (entry.bytes > linkCap) throw new InvalidArchive(`the link ${quote(entry.name)} is too long`)
  const chunks: Buffer[] = []
  for await (const chunk of await contentOf(file, entry)) chunks.push(Buffer.from(chunk))
  const target = Buffer.concat(chunks).toString('utf8')
  const lexical = posix.normalize(posix.join(posix.dirname(entry.name), target))
  if (posix.isAbsolute(target) || target.includes('\0') || lexical === '..' || lexical.startsWith('../')) {
    throw new InvalidArchive(`the link ${quote(entry.name)} leaves the project folder`)
  }
  await mkdir(dirname(join(directory, entry.name)), { recursive: true })
  await symlink(target, join(directory, entry.name))
}

/** Links may pass through other links, which only the file system can follow. */
async function refuseEscape(entry: Entry, directory: string): Promise<void> {
  const link = join(directory, entry.name)
  const root = await realpath(directory)
  let target: string
  try {
    target = await realpath(link)
  } catch {
    await readlink(link)
    return
  }
  if (target !== root && !target.startsWith(`${root}/`)) {
    throw new InvalidArchive(`the link ${quote(entry.name)} leaves the project folder`)
  }
}

async function contentOf(file: FileHandle, entry: Entry): Promise<Readable> {
  const header = await readAt(file, entry.headerOffset, 30)
  if (header.length < 30 || header.readUInt32LE(0) !== 0x04034b50)
    throw new InvalidArchive('an entry header is damaged')
  const start = entry.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
  return Readable.from(checkedContent(file, entry, start))
}

async function* checkedContent(file: FileHandle, entry: Entry, start: number): AsyncGenerator<Buffer> {
  const packed = Readable.from(readRange(file, start, entry.packedBytes))
  const plain = entry.method === 8 ? packed.compose<zlib.InflateRaw>(zlib.createInflateRaw()) : packed
  let bytes = 0
  let crc = 0
  try {
    for await (const chunk of plain as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > entry.bytes) throw new InvalidArchive(`${quote(entry.name)} is larger than announced`)
      crc = zlib.crc32(chunk, crc)
      yield chunk
    }
  } catch (error) {
    if (error instanceof InvalidArchive) throw error
    throw new InvalidArchive(`${quote(entry.name)} is damaged`, { cause: error })
  }
  if (bytes !== entry.bytes || crc !== entry.crc) throw new InvalidArchive(`${quote(entry.name)} is damaged`)
}

async function* readRange(file: FileHandle, start: number, length: number): AsyncGenerator<Buffer> {
  const step = 1 << 20
  for (let at = 0; at < length; at += step) {
    const chunk = await readAt(file, start + at, Math.min(step, length - at))
    if (chunk.length === 0) throw new InvalidArchive('it is cut short')
    yield chunk
  }
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await file.read(buffer, 0, length, offset)
  return buffer.subarray(0, bytesRead)
}

const quote = (name: string) => JSON.stringify(name.slice(0, 200))

/** What refuses an archive, as an exit code and a sentence; any other failure is thrown on. */
export function explainRefusal(error: unknown): { exitCode: number; complaint: string } {
  if (!(error instanceof Error)) throw error
  const code = 'code' in error ? error.code : undefined
  if (!(error instanceof InvalidArchive) && code !== 'ENOSPC' && code !== 'EEXIST') throw error
  const complaint = code === 'EEXIST' ? 'two paths in it collide' : error.message
  return { exitCode: code === 'ENOSPC' ? exitDiskFull : exitInvalid, complaint }
}

async function main(archive: string, directory: string): Promise<void> {
  try {
    const count = await unpackSource(archive, directory)
    console.log(`${count} entries`)
  } catch (error) {
    const { exitCode, complaint } = explainRefusal(error)
    console.error(complaint)
    process.exitCode = exitCode
  }
}

const [, script, archive, directory] = process.argv
if (script === '-' && archive !== undefined && directory !== undefined) await main(archive, directory)
