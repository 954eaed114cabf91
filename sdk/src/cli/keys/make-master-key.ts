import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { CommandError, UsageError } from '../command.js'
import type { Arguments } from '../read-arguments.js'
import { fileError, readBytes } from '../read-file.js'

const line = /^mk1:([a-z0-9-]{1,32}):[A-Za-z0-9+/]{43}=:[0-9a-f]{8}$/

/** Lines of an older master key file: they go on unwrapping. */
async function readOlder(path: string): Promise<string[]> {
  const lines = Buffer.from(await readBytes(path))
    .toString('latin1')
    .replace(/\n$/, '')
    .split('\n')
  if (lines.some((text) => !line.test(text))) {
    throw new CommandError('KEY_FILE', `${path} is not a master key file: lines mk1:<id>:<base64 of 32 bytes>:<crc32>.`)
  }
  return lines
}

/** Writes a new master key, first in the file, readable by the user alone and never over an existing file. */
export async function makeMasterKey(path: string, options: Arguments): Promise<string> {
  const id = options.get('id') ?? randomBytes(4).toString('hex')
  if (!/^[a-z0-9-]{1,32}$/.test(id)) throw new UsageError('--id must be 1 to 32 of a-z, 0-9 and "-".')
  const keep = options.get('keep')
  const older = keep === null ? [] : await readOlder(keep)
  if (older.some((text) => line.exec(text)?.[1] === id)) {
    throw new CommandError('KEY_ID_TAKEN', `There is a key "${id}" in that file already; choose another --id.`)
  }
  const text = `mk1:${id}:${randomBytes(32).toString('base64')}`
  const own = `${text}:${crc32(text).toString(16).padStart(8, '0')}`
  try {
    const file = await open(path, 'wx', 0o400)
    await file.writeFile([own, ...older, ''].join('\n'))
    await file.sync()
    await file.close()
  } catch (error) {
    throw fileError('Cannot write', path, error)
  }
  return id
}
