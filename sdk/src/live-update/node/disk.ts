import { readFile, writeFile } from 'node:fs'
import { lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Disk } from '../disk.js'

// The promises of `node:fs/promises` open a handle for each file, which costs several times what reading or writing it does.
const read = promisify(readFile)
const write = promisify(writeFile)

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
  writeNewFile: (path, content) => write(path, content, { flag: 'wx', mode: 0o600 }),
  syncFile: syncPath,
  rename,
  syncDirectory: syncPath,
  remove: (path) => rm(path, { recursive: true, force: true }),
  readFile: (path) => orNull(read(path)),
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
