import { constants } from 'node:fs'
import { link, lstat, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { type KeyStore, KeyStoreError } from './key-store.js'

const ORG = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const NAME = /^[a-z]{1,16}(-[0-9a-f-]{1,40})?$/
const DRAFT = '.draft'

/** A key store in a folder: `<folder>/<organization>/<name>`, folders 0700, files 0600. */
export async function openDirectoryKeyStore(folder: string, setting = 'KEY_STORE_DIR'): Promise<KeyStore> {
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST')
      throw new KeyStoreError(`${setting}: ${folder} cannot be made (${String(error.code)}).`)
  })
  await requireClosed(folder, setting)
  await removeDrafts(folder)
  const place = (org: string, name = ''): string => {
    if (!ORG.test(org) || !(name === '' || NAME.test(name))) throw new Error('a key record needs ids for its name')
    return join(folder, org, name)
  }

  async function draft(org: string, name: string, record: Uint8Array): Promise<string> {
    const made = await mkdir(place(org), { mode: 0o700, recursive: true })
    if (made !== undefined) await syncFolder(folder)
    const path = `${place(org, name)}${DRAFT}`
    await rm(path, { force: true })
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(record)
      await file.sync()
    } finally {
      await file.close()
    }
    return path
  }

  const store: KeyStore = {
    read: (org, name) => readFile(place(org, name)).catch(ignoreAbsent(null)),
    async create(org, name, record) {
      const path = await draft(org, name, record)
      try {
        await link(path, place(org, name))
      } catch (error) {
        if (codeOf(error) === 'EEXIST') return false
        throw error
      } finally {
        await rm(path)
      }
      await syncFolder(place(org))
      return true
    },
    async replace(org, name, record) {
      await rename(await draft(org, name, record), place(org, name))
      await syncFolder(place(org))
    },
    async shred(org, name, tombstone) {
      const path = await draft(org, name, tombstone)
      await overwrite(place(org, name))
      await rename(path, place(org, name))
      await syncFolder(place(org))
    },
    async remove(org, name) {
      await overwrite(place(org, name))
      await rm(place(org, name), { force: true })
      await syncFolder(place(org)).catch(ignoreAbsent(undefined))
    },
    async list(org) {
      const names = await readdir(place(org)).catch(ignoreAbsent<string[]>([]))
      return names.filter((name) => NAME.test(name)).toSorted()
    },
    organizations: async () => (await readdir(folder)).filter((name) => ORG.test(name)).toSorted(),
  }
  return store
}

async function requireClosed(folder: string, setting: string): Promise<void> {
  const facts = await lstat(folder)
  if (!facts.isDirectory()) throw new KeyStoreError(`${setting}: ${folder} is not a folder.`)
  if ((facts.mode & 0o077) !== 0) {
    throw new KeyStoreError(`${setting}: ${folder} is open to group or others; run chmod 700 on it.`)
  }
  const user = process.geteuid?.()
  if (user !== undefined && facts.uid !== user) {
    throw new KeyStoreError(`${setting}: ${folder} belongs to user ${facts.uid}, not to the running user ${user}.`)
  }
}

/** What a crash left half written was never a record. */
async function removeDrafts(folder: string): Promise<void> {
  const names = await readdir(folder, { recursive: true })
  await Promise.all(names.filter((name) => name.endsWith(DRAFT)).map((name) => rm(join(folder, name))))
}

/** Best effort: a file system that copies on write, or a flash drive, may keep the old bytes. */
async function overwrite(path: string): Promise<void> {
  const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW).catch(ignoreAbsent(null))
  if (file === null) return
  try {
    await file.write(Buffer.alloc((await file.stat()).size), 0, null, 0)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

function ignoreAbsent<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (codeOf(error) === 'ENOENT') return instead
    throw error
  }
}
