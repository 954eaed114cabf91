import { PatchError } from './patch-error.js'

/** One file of a bundle, as its signed list names it. */
export interface ListedFile {
  path: string
  /** Lower-case hex. */
  sha256: string
  size: number
}

/** Where the bytes of a patch's two sides come from and go to. */
export interface PatchLayout {
  /** Every file of the old bundle, in the order in which their bytes follow one another. */
  old: readonly ListedFile[]
  oldSize: number
  /** Every content that the old bundle lacks, once, in the order in which the patch makes them. */
  fresh: readonly ListedFile[]
  freshSize: number
  /** For each file of the new bundle where its bytes are. */
  places: readonly { file: ListedFile; side: 'old' | 'fresh'; offset: number }[]
}

const byPath = (a: ListedFile, b: ListedFile): number => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)

function lay(files: readonly ListedFile[]): { offsets: Map<string, { offset: number; size: number }>; size: number } {
  const offsets = new Map<string, { offset: number; size: number }>()
  let size = 0
  for (const file of files) {
    if (!offsets.has(file.sha256)) offsets.set(file.sha256, { offset: size, size: file.size })
    size += file.size
  }
  return { offsets, size }
}

/**
 * Lays out both sides of a patch from the two file lists alone, so that nothing of it has to be sent.
 *
 * @throws {PatchError} `PATCH_MISMATCH` when the lists cannot be true
 */
export function layOut(oldFiles: readonly ListedFile[], newFiles: readonly ListedFile[]): PatchLayout {
  // [P1] the old side: all files, by path
  const old = oldFiles.toSorted(byPath)
  const before = lay(old)
  // [P2] the fresh side: what the old bundle lacks under any name, each content once, by path
  const seen = new Set(before.offsets.keys())
  const fresh = newFiles.toSorted(byPath).filter(({ sha256 }) => !seen.has(sha256) && seen.add(sha256))
  const after = lay(fresh)
  const places = newFiles.map((file) => {
    const kept = before.offsets.get(file.sha256)
    const place = kept ?? after.offsets.get(file.sha256)
    if (!place || place.size !== file.size)
      throw new PatchError('PATCH_MISMATCH', 'One content is listed with two sizes.')
    return { file, side: kept ? ('old' as const) : ('fresh' as const), offset: place.offset }
  })
  return { old, oldSize: before.size, fresh, freshSize: after.size, places }
}
