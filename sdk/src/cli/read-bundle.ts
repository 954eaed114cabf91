import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { ArchiveError, type ArchiveInput, type FileDigest, validateArchive, writeArchive } from '../archive/index.js'
import { CommandError } from './command.js'
import { fileError, readBytes } from './read-file.js'

const skipped = new Set(['.DS_Store', 'Thumbs.db'])

/** A zip that devices accept, and what is in it. */
export interface LocalBundle {
  bytes: Uint8Array
  files: FileDigest[]
  /** Whether it was packed here rather than given. */
  packed: boolean
}

async function readFolder(folder: string, prefix = ''): Promise<ArchiveInput[]> {
  const inputs: ArchiveInput[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    const name = `${prefix}${entry.name}`.normalize('NFC')
    if (skipped.has(entry.name)) continue
    if (entry.isDirectory()) inputs.push(...(await readFolder(path, `${name}/`)))
    else if (entry.isFile()) inputs.push({ path: name, content: await readBytes(path) })
    else
      throw new CommandError(
        'ARCHIVE_ENTRY_TYPE',
        `${path} is neither a file nor a folder; leave links and devices out of the bundle.`,
      )
  }
  return inputs
}

async function check(bytes: Uint8Array): Promise<FileDigest[]> {
  const files = await validateArchive(bytes)
  if (!files.some((file) => file.path === 'index.html' || file.path.endsWith('/index.html'))) {
    throw new CommandError('INDEX_MISSING', 'The bundle has no index.html; give the folder that your web build writes.')
  }
  return files
}

/**
 * Reads a zip, or packs a folder so that the same files always give the same bytes, and refuses what devices would.
 *
 * @throws {CommandError}
 */
export async function readBundle(path: string): Promise<LocalBundle> {
  const stat = await lstat(path).catch((error: unknown) => {
    throw fileError('Cannot read', path, error)
  })
  const packed = stat.isDirectory()
  try {
    const bytes = packed ? writeArchive(await readFolder(path), deflateRawSync) : await readBytes(path)
    return { bytes, files: await check(bytes), packed }
  } catch (error) {
    if (error instanceof ArchiveError)
      throw new CommandError(error.code, `Devices would refuse ${path}: ${error.message}`)
    throw error
  }
}
