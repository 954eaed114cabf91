import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** A key or password file that must not be used. The message is one sentence a person can act on; it never quotes content. */
export class SecretFileError extends Error {
  override name = 'SecretFileError' as const
}

const MAX_SECRET_FILE_BYTES = 4096

/**
 * Reads a file that holds a secret. It must be a regular file (no symbolic link), belong to the running user or root,
 * and be closed to group and others. The checks are made on the opened file, so it cannot be swapped between check and read.
 */
export async function readSecretFile(path: string, name: string): Promise<Buffer> {
  const file = await openWithoutFollowing(path, name)
  try {
    const facts = await file.stat()
    if (!facts.isFile()) throw new SecretFileError(`${name}: ${path} is not a regular file.`)
    if ((facts.mode & 0o077) !== 0) {
      throw new SecretFileError(`${name}: ${path} is open to group or others; run chmod 600 on it.`)
    }
    const user = process.geteuid?.()
    if (user !== undefined && facts.uid !== user && facts.uid !== 0) {
      throw new SecretFileError(
        `${name}: ${path} belongs to user ${facts.uid}, not to the running user ${user} or root.`,
      )
    }
    if (facts.size === 0) throw new SecretFileError(`${name}: ${path} is empty.`)
    if (facts.size > MAX_SECRET_FILE_BYTES) throw new SecretFileError(`${name}: ${path} is too large for a secret.`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

async function openWithoutFollowing(path: string, name: string) {
  try {
    // O_NONBLOCK: a named pipe in the file's place must be refused, not waited for.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ELOOP') throw new SecretFileError(`${name}: ${path} is a symbolic link; name the file itself.`)
    if (code === 'ENOENT') throw new SecretFileError(`${name}: ${path} does not exist.`)
    throw new SecretFileError(`${name}: ${path} cannot be read (${String(code)}).`)
  }
}

/** As `readSecretFile`, for a file that holds nothing but a key of `length` random bytes. */
export async function readRawKeyFile(path: string, name: string, length = 32): Promise<Buffer> {
  const bytes = await readSecretFile(path, name)
  if (bytes.length !== length) {
    throw new SecretFileError(`${name}: ${path} holds ${bytes.length} bytes; a key of exactly ${length} is expected.`)
  }
  refuseWeakKey(bytes, name, path)
  return bytes
}

/** Random 32 bytes have about 30 distinct values; fewer than 16 means a placeholder, text or a repeated pattern. */
export function refuseWeakKey(key: Uint8Array, name: string, path: string): void {
  const distinct = new Set(key).size
  const steps = new Set(key.map((byte, index) => (index === 0 ? 0 : byte - (key[index - 1] ?? 0))))
  if (distinct < 16 || steps.size < 4) {
    throw new SecretFileError(`${name}: ${path} does not look random; make a new key from a random source.`)
  }
}
