import { randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { checkKey } from '../objects/object-store.js'
import { removeAbandoned } from '../objects/remove-abandoned.js'
import type { StaticStore } from './static-store.js'

/** Static objects as plain files, for the API or any web server to send. */
export async function openFolderStore(dir: string): Promise<StaticStore> {
  await mkdir(join(dir, 'tmp'), { recursive: true })
  await removeAbandoned(join(dir, 'tmp'))
  const pathOf = (path: string) => join(dir, ...checkKey(path))
  return {
    async put(path, { body }) {
      const target = pathOf(path)
      const temporary = join(dir, 'tmp', randomUUID())
      await mkdir(dirname(target), { recursive: true })
      const file = await open(temporary, 'wx', 0o644)
      try {
        const source = body instanceof Readable ? body : Readable.from([body], { objectMode: false })
        await pipeline(source, file.createWriteStream({ flush: true }))
        await rename(temporary, target)
      } finally {
        await file.close().catch(() => undefined)
        await rm(temporary, { force: true })
      }
    },
    delete: (path) => rm(pathOf(path), { force: true }),
    deleteFolder: (folder) => rm(pathOf(folder), { recursive: true, force: true }),
  }
}
