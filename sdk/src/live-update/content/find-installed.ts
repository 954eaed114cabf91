import { type FileDigest, sha256Hex } from '../../archive/sha256.js'
import type { Session } from '../session.js'

/** What the device can reuse of the bundle that it runs. */
export interface Installed {
  has(file: FileDigest): boolean
  /** A file's bytes, under whatever name they are there, hashed just now; `null` when they are not there. */
  read(file: FileDigest): Promise<Uint8Array | null>
}

/** Looks through the bundle that runs, and the built-in one where the host can list it. */
export async function findInstalled(session: Session): Promise<Installed> {
  const { storage } = session.world
  const { current } = await session.load()
  const places = new Map<string, { id: string | null; path: string }>()
  // A page finds the built-in bundle at its own address, and only while nothing else is shown there.
  const builtIn = current === null || session.world.builtInBundleId === undefined ? [null] : []
  for (const id of current === null ? builtIn : [...builtIn, current.id]) {
    for (const { sha256, path } of (await storage.digest(id).catch(() => null)) ?? []) places.set(sha256, { id, path })
  }
  return {
    has: ({ sha256 }) => places.has(sha256),
    async read({ sha256, size }) {
      const place = places.get(sha256)
      const content = place ? await storage.read(place.id, place.path).catch(() => null) : null
      // It may have changed since it was listed.
      return content !== null && content.length === size && (await sha256Hex(content)) === sha256 ? content : null
    },
  }
}
