import { lstat, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'

/** The few things the storage asks of a file system, each one step that happens or does not. */
export interface Disk {
  makeDirectory(path: string): Promise<void>
  /** Creates a file that must not exist, with its content durable. */
  writeNewFile(path: string, content: Uint8Array): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>
  /** Removes a file or a whole directory, if there is one. */
  remove(path: string): Promise<void>
  /** `null` when there is none. */
  readFile(path: string): Promise<Uint8Array | null>
  /** `null` when there is none. Links are not followed. */
  list(path: string): Promise<{ name: string; kind: 'file' | 'directory' | 'other' }[] | null>
}

async function orNull<T>(promise: Promise<T>): Promise<T | null> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The file system of this machine. Directories are private to the user; files are not executable. */
export const nodeDisk: Disk = {
  makeDirectory: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 })
  },
  writeNewFile: async (path, content) => {
    const handle = await open(path, 'wx', 0o600)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  rename,
  syncDirectory: syncPath,
  remove: (path) => rm(path, { recursive: true, force: true }),
  readFile: (path) => orNull(readFile(path)),
  list: async (path) => {
    const stat = await orNull(lstat(path))
    if (!stat?.isDirectory()) return null
    const entries = await readdir(path, { withFileTypes: true })
    return entries.map((entry) => ({
      name: entry.name,
      kind: entry.isFile() ? 'file' : entry.isDirectory() ? 'directory' : 'other',
    }))
  },
}
