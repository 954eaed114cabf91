import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, link, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'

import { damaged, hashName, storeMark } from './object-cipher.js'
import {
  checkFolder,
  checkKey,
  type ObjectStore,
  ObjectStoreError,
  type PutOptions,
  resolveRange,
  type StoredObject,
} from './object-store.js'
import { readSealedHead, type SealedFile, streamSealedFile } from './read-sealed-file.js'
import { removeAbandoned } from './remove-abandoned.js'
import type { UrlSigner } from './sign-object-url.js'
import { writeSealedFile } from './write-sealed-file.js'

export type FilesystemStoreOptions = { dir: string; storeKey: Uint8Array; urls: UrlSigner }

/** The embedded object store: format CSO1 (FORMAT.md), one sealed file per object. */
export async function openFilesystemStore({ dir, storeKey, urls }: FilesystemStoreOptions): Promise<ObjectStore> {
  await mkdir(join(dir, 'tmp'), { recursive: true, mode: 0o700 })
  await mkdir(join(dir, 'objects'), { recursive: true, mode: 0o700 })
  await checkMark(dir, storeKey)
  await removeAbandoned(join(dir, 'tmp'))
  const pathOf = (key: string) =>
    join(dir, 'objects', ...foldersOf(storeKey, checkKey(key).slice(0, -1)), `${hashName(storeKey, key)}.o`)

  return {
    put: (key, body, options) => putFile({ dir, storeKey, path: pathOf(key), key }, body, options),
    async get(key, options = {}) {
      const file = await openOrRefuse(pathOf(key))
      try {
        const sealed = await readHeadOf(file, storeKey, key)
        const { sizeBytes } = sealed.object
        const range = options.range === undefined ? undefined : resolveRange(options.range, sizeBytes)
        const body = Readable.from(streamSealedFile(file, sealed, range ?? { start: 0, end: sizeBytes - 1 }), {
          objectMode: false,
        })
        // A body that is dropped before its first read never enters the generator that closes the file.
        body.once('close', () => void file.close().catch(() => undefined))
        return { ...sealed.object, ...(range && { range }), body }
      } catch (error) {
        await file.close()
        throw error
      }
    },
    async head(key) {
      const file = await openIfThere(pathOf(key))
      if (file === null) return null
      try {
        return (await readHeadOf(file, storeKey, key)).object
      } finally {
        await file.close()
      }
    },
    delete: (key) => rm(pathOf(key), { force: true }),
    deleteBelow: async (folder) => removeFolder(join(dir, 'objects', ...foldersOf(storeKey, checkFolder(folder)))),
    list: (prefix) => listFolder(dir, storeKey, prefix),
    async signedGetUrl(key, options) {
      checkKey(key)
      return urls.signGet(key, options)
    },
    async signedPutUrl(key, options) {
      checkKey(key)
      return urls.signPut(key, options)
    },
  }
}

function foldersOf(storeKey: Uint8Array, segments: string[]): string[] {
  return segments.map((_, index) => `${hashName(storeKey, segments.slice(0, index + 1).join('/'))}.d`)
}

type Target = { dir: string; storeKey: Uint8Array; path: string; key: string }

/** [O5] The final name appears in one step, complete and synced, or not at all. */
async function putFile(target: Target, body: Uint8Array | Readable, options: PutOptions): Promise<StoredObject> {
  if ((await stat(target.path).catch(() => null)) !== null) throw taken(target.key)
  const temporary = join(target.dir, 'tmp', randomUUID())
  const file = await open(temporary, 'wx', 0o600)
  try {
    const stored = await writeSealedFile(file, target.storeKey, target.key, body, options)
    await publish(temporary, target.path)
    return stored
  } catch (error) {
    throw hasCode(error, 'EEXIST') ? taken(target.key) : error
  } finally {
    await file.close()
    await rm(temporary, { force: true })
  }
}

/** The folder may be removed between its making and its use; then it is made again. */
async function publish(temporary: string, path: string, attempts = 3): Promise<void> {
  try {
    const firstNew = await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await link(temporary, path)
    await syncFolders(dirname(path), firstNew === undefined ? dirname(path) : dirname(firstNew))
  } catch (error) {
    if (!hasCode(error, 'ENOENT') || attempts === 1) throw error
    await publish(temporary, path, attempts - 1)
  }
}

/** Looks into no file: what is damaged goes with the rest. */
async function removeFolder(path: string): Promise<number> {
  const names = await namesBelow(path)
  await rm(path, { recursive: true, force: true, maxRetries: 3 })
  return names.filter((name) => name.endsWith('.o')).length
}

async function namesBelow(path: string): Promise<string[]> {
  try {
    return await readdir(path, { recursive: true })
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

async function* listFolder(dir: string, storeKey: Uint8Array, prefix: string) {
  const whole = prefix.split('/').slice(0, -1)
  if (whole.length > 0) checkKey(whole.join('/'))
  const folder = join(dir, 'objects', ...foldersOf(storeKey, whole))
  for (const name of await namesBelow(folder)) {
    if (!name.endsWith('.o')) continue
    const file = await openIfThere(join(folder, name))
    if (file === null) continue
    try {
      const { object } = await readSealedHead(file, storeKey)
      if (!name.endsWith(`${hashName(storeKey, object.key)}.o`)) throw damaged()
      if (object.key.startsWith(prefix)) yield { key: object.key, sizeBytes: object.sizeBytes }
    } finally {
      await file.close()
    }
  }
}

async function readHeadOf(file: FileHandle, storeKey: Uint8Array, key: string): Promise<SealedFile> {
  const sealed = await readSealedHead(file, storeKey)
  if (sealed.object.key !== key) throw damaged()
  return sealed
}

/** A store opened with another key would look empty: say so instead. */
async function checkMark(dir: string, storeKey: Uint8Array): Promise<void> {
  const path = join(dir, 'store')
  const mark = storeMark(storeKey)
  if ((await readFile(path, 'utf8').catch(() => null)) === null) {
    const temporary = join(dir, 'tmp', randomUUID())
    const file = await open(temporary, 'wx', 0o600)
    await file.writeFile(mark)
    await file.sync()
    await file.close()
    // Two processes may open a new store at once: the first mark stays, both then read it.
    await link(temporary, path).catch(() => undefined)
    await rm(temporary, { force: true })
  }
  if ((await readFile(path, 'utf8')) !== mark) {
    throw new ObjectStoreError(
      'object-store-key-wrong',
      `The objects in ${dir} were stored with another key: give the OBJECT_STORE_KEY_FILE they were stored with.`,
    )
  }
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null
    throw error
  }
}

async function openOrRefuse(path: string): Promise<FileHandle> {
  const file = await openIfThere(path)
  if (file === null) throw new ObjectStoreError('object-not-found', 'There is no such object.')
  return file
}

/** From the folder that got a new name upwards to the one that is not new itself. */
async function syncFolders(from: string, to: string): Promise<void> {
  for (let path = from; path.length >= to.length; path = dirname(path)) {
    const folder = await open(path, constants.O_RDONLY)
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }
}

function taken(key: string): ObjectStoreError {
  return new ObjectStoreError('object-exists', `${key} is already stored; objects are written once.`)
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
