import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

export interface StackFolders {
  readonly dataDir: string
  readonly logs: string
  readonly secrets: string
  readonly objects: string
  /** Organization keys: apart from the database, and from its backups. */
  readonly keys: string
  /** What the broker signed last of each audit chain: apart from the database, too. */
  readonly checkpoints: string
  readonly static: string
  readonly run: string
  /** Unix sockets; elsewhere when the data folder's path is too long for one. */
  readonly sockets: string
  readonly postgres: string
  readonly redis: string
}

/** The system refuses socket paths of 108 bytes and more. */
const longestSocketFolder = 88

function socketFolder(run: string): string {
  if (Buffer.byteLength(run) <= longestSocketFolder) return run
  return mkdtempSync(join(tmpdir(), 'capstan-'))
}

/** Makes the folders of a stack. Only the data folder itself may be walked through by other users. */
export function makeStackFolders(dataDir: string): StackFolders {
  const folder = (name: string): string => join(dataDir, name)
  mkdirSync(dataDir, { recursive: true })
  chmodSync(dataDir, 0o711)
  for (const name of ['logs', 'secrets', 'objects', 'keys', 'checkpoints', 'static', 'run'])
    mkdirSync(folder(name), { recursive: true, mode: 0o700 })
  return {
    dataDir,
    logs: folder('logs'),
    secrets: folder('secrets'),
    objects: folder('objects'),
    keys: folder('keys'),
    checkpoints: folder('checkpoints'),
    static: folder('static'),
    run: folder('run'),
    sockets: socketFolder(folder('run')),
    postgres: folder('postgres'),
    redis: folder('redis'),
  }
}

/** Path of a secret's file, written with fresh content when there is none. */
export function secretFile(folder: string, name: string, make: () => string | Uint8Array): string {
  const file = join(folder, name)
  if (existsSync(file)) return file
  const draft = `${file}.draft`
  rmSync(draft, { force: true })
  writeFileSync(draft, make(), { mode: 0o400, flush: true })
  renameSync(draft, file)
  return file
}

export function readSecret(file: string): string {
  return readFileSync(file, 'utf8').trim()
}

export const randomPassword = (): string => randomBytes(24).toString('hex')

export const randomKey = (): Uint8Array => randomBytes(32)

/** `mk1:<id>:<base64 of 32 bytes>:<CRC-32 of what precedes>` */
export function masterKeyLine(): string {
  const line = `mk1:${randomBytes(4).toString('hex')}:${randomBytes(32).toString('base64')}`
  return `${line}:${crc32(line).toString(16).padStart(8, '0')}\n`
}
