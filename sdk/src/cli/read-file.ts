import { access, readFile, writeFile } from 'node:fs/promises'
import { CommandError } from './command.js'

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file or folder',
    EACCES: 'permission was denied',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of the path is not a folder',
    EEXIST: 'it exists already and is not overwritten',
    ENOSPC: 'the disk is full',
  }
  return reasons[code] ?? (error instanceof Error ? error.message : 'unknown reason')
}

/** A refusal about a file, in one sentence. */
export function fileError(what: string, path: string, error: unknown): CommandError {
  return new CommandError('FILE', `${what} ${path}: ${reasonOf(error)}.`)
}

export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    throw fileError('Cannot read', path, error)
  }
}

/** Refuses early what `writeNew` would refuse at the end. */
export async function requireAbsent(path: string): Promise<void> {
  const exists = await access(path).then(
    () => true,
    () => false,
  )
  if (exists) throw new CommandError('FILE', `Cannot write ${path}: it exists already and is not overwritten.`)
}

/** Writes a file that must not exist yet, private to the user when `secret`. */
export async function writeNew(path: string, content: string | Uint8Array, secret = false): Promise<void> {
  try {
    await writeFile(path, content, { flag: 'wx', mode: secret ? 0o600 : 0o644 })
  } catch (error) {
    throw fileError('Cannot write', path, error)
  }
}
