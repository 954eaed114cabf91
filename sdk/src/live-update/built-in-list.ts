import type { FileDigest } from '../archive/sha256.js'
import type { BundleStorage } from './bundle-storage.js'
import type { Fetch } from './fetch-bytes.js'

/** Which bundle the app was shipped with, and its files, as `capstan publish --built-in FILE` writes it. */
interface BuiltInList {
  bundleId: string
  files: readonly FileDigest[]
}

/** Where a page finds the bundle that it was shipped with, where no file system can list it. */
export interface BuiltInPlace {
  fetch: Fetch
  /** The address of the web root, ending in a slash. */
  root: string
  /** The name of the list, below the root. */
  list: string
  /** How a file is asked for. */
  init: RequestInit
}

const filesMaximum = 10_000
/** A list of an earlier version of the app would fit nothing. */
const current = { cache: 'no-cache', mode: 'same-origin' } as const

function isListed(file: Partial<FileDigest> | null): file is FileDigest {
  const { path, sha256, size } = file ?? {}
  return typeof path === 'string' && typeof sha256 === 'string' && typeof size === 'number' && size >= 0
}

function parseList(text: string): BuiltInList | null {
  const { bundleId, files } = (JSON.parse(text) ?? {}) as { bundleId?: unknown; files?: unknown }
  const sound = typeof bundleId === 'string' && /^[\w.-]{1,200}$/.test(bundleId) && Array.isArray(files)
  return sound && files.length <= filesMaximum && files.every(isListed) ? { bundleId, files } : null
}

async function fetchOwn({ fetch, root }: BuiltInPlace, path: string, init: RequestInit): Promise<Response | null> {
  const response = await fetch(root + path.split('/').map(encodeURIComponent).join('/'), init)
  return response.status === 200 ? response : null
}

/**
 * The built-in bundle of a page, read through the page's own address. Nothing of it is believed: whatever is made of its
 * bytes is compared with the signed list. An app without the list has no built-in bundle here, and takes whole updates.
 */
export function builtInBundle(place: BuiltInPlace): Pick<BundleStorage, 'digest' | 'read'> & {
  bundleId: () => Promise<string | null>
} {
  let list: Promise<BuiltInList | null> | undefined
  const load = async (): Promise<BuiltInList | null> => {
    const response = await fetchOwn(place, place.list, current)
    return response && parseList(await response.text())
  }
  const known = (): Promise<BuiltInList | null> => (list ??= load().catch(() => null))
  return {
    bundleId: async () => (await known())?.bundleId ?? null,
    digest: async () => [...((await known())?.files ?? [])],
    async read(_id, path) {
      // A browser that was to look into its cache only, and has nothing there, says so by failing.
      const response = await fetchOwn(place, path, place.init).catch(() => null)
      return response && new Uint8Array(await response.arrayBuffer())
    },
  }
}
