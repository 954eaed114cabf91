// Runs inside the build container (`node --input-type=module - <archive> <directory>`), on an archive whose hash was
// compared: what wrote it was an install of an earlier build, so it is checked like a source all the same. One file, Node
// built-ins only. Plain files and folders alone; synchronous, for such an archive has tens of thousands of small files.
import { closeSync, mkdirSync, openSync, readSync, statfsSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'

const block = 512
/** Files and folders, with the folders that names imply. */
const entryCap = 500_000
const nameCap = 4_096
const segmentCap = 255
const depthCap = 64
/** Of all names together, for they are held in memory. */
const namesCap = 64 << 20
/** What a file or a folder takes of a disk that is memory, besides its pages. */
const entryCost = 1_024
const pageBytes = 4_096
const copyBytes = 1 << 20

export const exitInvalid = 3
export const exitDiskFull = 4

type Entry = { name: string; isDirectory: boolean; isExecutable: boolean; bytes: number; offset: number }

export class InvalidArchive extends Error {
  override name = 'InvalidArchive'
}

export class NoRoom extends Error {
  override name = 'NoRoom'
  readonly code = 'ENOSPC'
}

/** Unpacks a tar (ustar or GNU). Everything is validated before the first file is written. */
export function unpackCache(archive: string, directory: string): number {
  const file = openSync(archive, 'r')
  try {
    const entries = readEntries(file, statSync(archive).size)
    const folders = collectFolders(entries)
    refuseWithoutRoom(entries, folders, archive)
    const buffer = Buffer.allocUnsafe(copyBytes)
    const made = new Set<string>()
    const make = (folder: string) => {
      if (made.has(folder)) return
      mkdirSync(folder, { recursive: true })
      made.add(folder)
    }
    make(directory)
    for (const entry of entries) {
      const target = join(directory, entry.name)
      if (entry.isDirectory) {
        make(target)
        continue
      }
      make(dirname(target))
      writeFile(file, entry, target, buffer)
    }
    return entries.length
  } finally {
    closeSync(file)
  }
}

function readEntries(file: number, size: number): Entry[] {
  const header = Buffer.alloc(block)
  const entries: Entry[] = []
  let longName: string | undefined
  let nameBytes = 0
  for (let at = 0; ;) {
    if (readAt(file, header, at) < block) throw new InvalidArchive('it is cut short')
    if (header.every((byte) => byte === 0)) break
    const { type, bytes, mode } = readHeader(header)
    const offset = at + block
    at = offset + Math.ceil(bytes / block) * block
    if (at > size) throw new InvalidArchive('it is cut short')
    if (type === 'L') {
      longName = readLongName(file, offset, bytes)
      continue
    }
    if (type !== '0' && type !== '5') throw new InvalidArchive('it has something that is neither a file nor a folder')
    const isDirectory = type === '5'
    if (isDirectory && bytes > 0) throw new InvalidArchive('a folder in it has contents')
    const name = checkedName(longName ?? nameOf(header))
    longName = undefined
    if (name === '') continue
    nameBytes += name.length
    if (nameBytes > namesCap) throw new InvalidArchive('the names in it are too long together')
    entries.push({ name, isDirectory, isExecutable: (mode & 0o100) !== 0, bytes, offset })
    if (entries.length > entryCap) throw new InvalidArchive(`it has more than ${entryCap} entries`)
  }
  if (longName !== undefined) throw new InvalidArchive('it ends in a name')
  return entries
}

function readHeader(header: Buffer): { type: string; bytes: number; mode: number } {
  if (!header.subarray(257, 262).equals(Buffer.from('ustar'))) throw new InvalidArchive('it is not a tar archive')
  let sum = 8 * 0x20
  for (const [index, byte] of header.entries()) if (index < 148 || index >= 156) sum += byte
  if (octal(header, 148, 8) !== sum) throw new InvalidArchive('an entry header is damaged')
  const type = header.toString('latin1', 156, 157)
  return { type: type === '\0' ? '0' : type, bytes: octal(header, 124, 12), mode: octal(header, 100, 8) }
}

function octal(header: Buffer, at: number, length: number): number {
  const text = header.toString('latin1', at, at + length).replace(/[\0 ]+$/, '')
  if (!/^ *[0-7]{1,11}$/.test(text)) throw new InvalidArchive('an entry header is damaged')
  return Number.parseInt(text, 8)
}

function nameOf(header: Buffer): string {
  const field = (at: number, length: number) => {
    const bytes = header.subarray(at, at + length)
    const end = bytes.indexOf(0)
    return decoded(end < 0 ? bytes : bytes.subarray(0, end))
  }
  // GNU keeps other things where POSIX has the first part of a long name.
  const prefix = header[262] === 0 ? field(345, 155) : ''
  const name = field(0, 100)
  return prefix === '' ? name : `${prefix}/${name}`
}

function readLongName(file: number, offset: number, bytes: number): string {
  if (bytes === 0 || bytes > nameCap) throw new InvalidArchive('a file name in it is too long')
  const name = Buffer.alloc(bytes)
  readAt(file, name, offset)
  return decoded(name[bytes - 1] === 0 ? name.subarray(0, -1) : name)
}

function decoded(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new InvalidArchive('a file name in it is not UTF-8')
  }
}

/** Empty for the folder itself. */
function checkedName(raw: string): string {
  const name = raw.replace(/^\.(?:\/|$)/, '').replace(/\/$/, '')
  if (name === '') return ''
  const segments = name.split('/')
  const isOdd = segments.some((segment) => segment === '' || segment === '.' || segment === '..')
  if (name.startsWith('/') || isOdd || name.includes('\\') || name.includes('\0')) {
    throw new InvalidArchive(`the path ${quoted(raw)} leaves the folder`)
  }
  if (segments.length > depthCap || segments.some((segment) => Buffer.byteLength(segment) > segmentCap)) {
    throw new InvalidArchive(`the path ${quoted(raw)} is too deep or too long`)
  }
  return name
}

/** The folders that names imply; refuses what would be two things at once. */
function collectFolders(entries: readonly Entry[]): Set<string> {
  const kinds = new Map<string, boolean>()
  for (const { name, isDirectory } of entries) {
    if (kinds.has(name)) throw new InvalidArchive(`the path ${quoted(name)} occurs twice`)
    kinds.set(name, isDirectory)
  }
  const folders = new Set<string>()
  for (const { name } of entries) {
    // Above a folder that was met before, all have been.
    for (let above = dirname(name); above !== '.' && !folders.has(above); above = dirname(above)) {
      if (kinds.get(above) === false) {
        throw new InvalidArchive(`the path ${quoted(above)} is a folder and something else`)
      }
      folders.add(above)
      if (folders.size > entryCap) throw new InvalidArchive(`it has more than ${entryCap} folders`)
    }
  }
  return folders
}

/** Many small files take far more of a disk that is memory than their archive does. */
function refuseWithoutRoom(entries: readonly Entry[], folders: ReadonlySet<string>, archive: string): void {
  const pages = entries.reduce((sum, { bytes }) => sum + Math.ceil(bytes / pageBytes), 0)
  const needed = pages * pageBytes + (entries.length + folders.size) * entryCost
  const { bavail, bsize } = statfsSync(dirname(archive))
  if (needed > bavail * bsize) throw new NoRoom(`it needs ${needed} bytes and the disk has ${bavail * bsize} left`)
}

function writeFile(file: number, { isExecutable, bytes, offset }: Entry, target: string, buffer: Buffer): void {
  const out = openSync(target, 'wx', isExecutable ? 0o755 : 0o644)
  try {
    for (let done = 0; done < bytes;) {
      const read = readSync(file, buffer, 0, Math.min(copyBytes, bytes - done), offset + done)
      if (read === 0) throw new InvalidArchive('it is cut short')
      for (let written = 0; written < read;) written += writeSync(out, buffer, written, read - written)
      done += read
    }
  } finally {
    closeSync(out)
  }
}

const quoted = (name: string) => JSON.stringify(name.slice(0, 200))

function readAt(file: number, buffer: Buffer, offset: number): number {
  let done = 0
  while (done < buffer.length) {
    const read = readSync(file, buffer, done, buffer.length - done, offset + done)
    if (read === 0) break
    done += read
  }
  return done
}

function main(archive: string, directory: string): void {
  try {
    console.log(`${unpackCache(archive, directory)} entries`)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const code = 'code' in error ? error.code : undefined
    if (!(error instanceof InvalidArchive) && code !== 'ENOSPC' && code !== 'EEXIST') throw error
    console.error(code === 'EEXIST' ? 'two paths in it collide' : error.message)
    process.exitCode = code === 'ENOSPC' ? exitDiskFull : exitInvalid
  }
}

const [, script, archive, directory] = process.argv
if (script === '-' && archive !== undefined && directory !== undefined) main(archive, directory)
