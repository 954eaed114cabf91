import { type FileDigest, sha256Hex } from '../../archive/sha256.js'
import { ReleaseError } from '../../release/index.js'
import type { StagedBundle } from '../bundle-storage.js'
import { LiveUpdateError } from '../live-update-error.js'
import type { PutFile } from './content-source.js'

const heldBytesMaximum = 8 * 1024 * 1024
const heldFilesMaximum = 32

/** A bundle being written, by files that are hashed as they are stored. */
export interface FileStager {
  put: PutFile
  /** Waits for what is still being written; the digests of everything, sorted by path. */
  finish(): Promise<FileDigest[]>
}

function isFull(writing: ReadonlyMap<unknown, number>): boolean {
  const held = [...writing.values()].reduce((sum, bytes) => sum + bytes, 0)
  return held > heldBytesMaximum || writing.size >= heldFilesMaximum
}

/**
 * Writes files side by side: storing one waits for the disk, holding many takes memory. A file that the signed list
 * does not have, or has in another size, is noted and not stored; comparing with the list refuses it in its turn.
 *
 * @param files the signed list, `null` when only the whole is signed
 */
export function stageFiles(staged: StagedBundle, files: readonly FileDigest[] | null): FileStager {
  const sizes = files && new Map(files.map(({ path, size }) => [path, size]))
  const digests = new Map<string, FileDigest>()
  const writing = new Map<Promise<void>, number>()
  let failure: unknown = null

  async function store(path: string, content: Uint8Array): Promise<void> {
    const written = staged.write(path, content).catch((cause: unknown) => {
      throw new LiveUpdateError('STORAGE', 'A file of the update could not be stored.', { cause })
    })
    const [sha256] = await Promise.all([sha256Hex(content), written])
    digests.set(path, { path, sha256, size: content.length })
  }

  return {
    async put(path, content) {
      if (failure !== null) throw failure
      if (digests.has(path)) throw new ReleaseError('FILES_DIFFER', 'The content holds a file twice.')
      digests.set(path, { path, sha256: '', size: content.length })
      if (sizes !== null && sizes.get(path) !== content.length) return
      const one = store(path, content)
        .catch((error: unknown) => {
          failure ??= error
        })
        .finally(() => writing.delete(one))
      writing.set(one, content.length)
      while (isFull(writing)) await Promise.race(writing.keys())
    },
    async finish() {
      await Promise.all(writing.keys())
      if (failure !== null) throw failure
      return [...digests.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1))
    },
  }
}
