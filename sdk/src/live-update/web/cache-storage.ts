import { type FileDigest, sha256Hex } from '../../archive/sha256.js'
import type { BundleStorage, StagedBundle } from '../bundle-storage.js'
import type { BrowserCaches, BrowserLocks } from './browser.js'
import { contentTypeOf } from './content-type.js'
import { randomUuid } from '../random-uuid.js'

/** A made-up origin: these names are keys and never requested. */
const base = 'https://live-update.invalid/'
const keyOf = (path: string): string => base + path.split('/').map(encodeURIComponent).join('/')
const pathOf = (url: string): string => url.slice(base.length).split('/').map(decodeURIComponent).join('/')

/** A bundle storage that can also serve. */
export interface WebStorage extends BundleStorage {
  lock: NonNullable<BundleStorage['lock']>
  /** One file of a bundle, ready to be answered with; `null` when there is none. */
  open(id: string, path: string): Promise<Response | null>
  /** Which directory each loaded page is from; `prune` keeps those bundles. */
  readPages(): Promise<Record<string, string>>
  writePages(pages: Record<string, string>): Promise<void>
}

/**
 * Bundles and state in Cache Storage. One cache holds the pointers: the state, and for each bundle the name of the cache
 * it is in. A bundle is complete before its pointer is put, and putting one entry is one step.
 *
 * @param appId bundles of different apps of one origin do not mix
 * @param builtIn what the network answers, where it can be listed
 */
export function cacheStorage(
  appId: string,
  { caches, locks }: { caches: BrowserCaches; locks: BrowserLocks },
  builtIn: Pick<BundleStorage, 'digest' | 'read'> | null = null,
): WebStorage {
  const prefix = `capstan/${encodeURIComponent(appId)}/`
  const piecesName = `${prefix}pieces`
  const pointers = async (): ReturnType<BrowserCaches['open']> => caches.open(`${prefix}pointers`)
  const read = async (key: string): Promise<string | null> =>
    (await (await pointers()).match(keyOf(key)))?.text() ?? null
  const write = async (key: string, text: string): Promise<void> =>
    (await pointers()).put(keyOf(key), new Response(text))
  const cacheOf = (id: string): Promise<string | null> => read(`bundles/${id}`)

  async function bundleIds(): Promise<string[]> {
    const paths = (await (await pointers()).keys()).map(({ url }) => pathOf(url))
    return paths.filter((path) => path.startsWith('bundles/')).map((path) => path.slice('bundles/'.length))
  }

  /** Removes caches that no pointer names: interrupted stagings and what was replaced. */
  async function sweep(): Promise<void> {
    const named = new Set(await Promise.all((await bundleIds()).map(cacheOf)))
    for (const name of await caches.keys()) {
      if (name.startsWith(`${prefix}files/`) && !named.has(name)) await caches.delete(name)
    }
  }

  const readPages = async (): Promise<Record<string, string>> =>
    JSON.parse((await read('pages')) ?? '{}') as Record<string, string>

  async function open(id: string, path: string): Promise<Response | null> {
    const name = await cacheOf(id)
    const found = name === null ? undefined : await (await caches.open(name)).match(keyOf(path))
    return found ?? null
  }

  return {
    lock: (run) => locks.request(`${prefix}state`, run),
    readState: () => read('state'),
    writeState: (text) => write('state', text),
    async stage(): Promise<StagedBundle> {
      const name = `${prefix}files/${randomUuid()}`
      const cache = await caches.open(name)
      let committed = false
      return {
        write: (path, content) =>
          cache.put(keyOf(path), new Response(content as Uint8Array<ArrayBuffer>, { headers: contentTypeOf(path) })),
        async commit(id) {
          await write(`bundles/${id}`, name)
          committed = true
        },
        async discard() {
          if (!committed) await caches.delete(name)
        },
      }
    },
    // A browser says nothing about when an entry is on the disk.
    persist: () => Promise.resolve(),
    async digest(id) {
      if (id === null) return builtIn && builtIn.digest(id)
      const name = await cacheOf(id)
      if (name === null || !(await caches.keys()).includes(name)) return null
      const cache = await caches.open(name)
      const files: FileDigest[] = []
      for (const { url } of await cache.keys()) {
        const response = await cache.match(url)
        if (!response) return null
        const content = new Uint8Array(await response.arrayBuffer())
        files.push({ path: pathOf(url), sha256: await sha256Hex(content), size: content.length })
      }
      return files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
    },
    async prune(keep) {
      const loaded = Object.values(await readPages()).map((directory) => directory.slice(0, directory.indexOf('/')))
      const used = new Set([...keep, ...loaded])
      for (const id of await bundleIds()) {
        if (!used.has(id)) await (await pointers()).delete(keyOf(`bundles/${id}`))
      }
      await sweep()
    },
    clearStaged: sweep,
    async addPiece(index, piece) {
      await (await caches.open(piecesName)).put(keyOf(String(index)), new Response(Uint8Array.from(piece)))
    },
    async readPieces() {
      const pieces: Uint8Array[] = []
      for (const cache = await caches.open(piecesName); ;) {
        const piece = await cache.match(keyOf(String(pieces.length)))
        if (!piece) return pieces
        pieces.push(new Uint8Array(await piece.arrayBuffer()))
      }
    },
    async clearPieces() {
      await caches.delete(piecesName)
    },
    locate: (bundle) => (bundle === null ? '' : `${bundle.id}/${bundle.root}`),
    open,
    async read(id, path) {
      // What the network answers may be of another version by now: it is hashed like everything else.
      if (id === null) return builtIn && builtIn.read(id, path)
      const found = await open(id, path)
      return found && new Uint8Array(await found.arrayBuffer())
    },
    readPages,
    writePages: (pages) => write('pages', JSON.stringify(pages)),
  }
}
