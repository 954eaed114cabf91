import { lstat, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import type { Disk } from '../disk.js'

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
    } finally {
      await handle.close()
    }
  },
  syncFile: syncPath,
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
