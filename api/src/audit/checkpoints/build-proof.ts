import { hashPair, TILE_EVENTS } from './merkle-range.js'

/** Hashes of a tree that were read beforehand: every complete tile, and the events of the tiles that a proof cuts through. */
export type TreeHashes = { tile(index: number): Buffer; leaf(index: number): Buffer }

/** Largest power of two below `size`. */
const splitOf = (size: number): number => {
  let split = 1
  while (split * 2 < size) split *= 2
  return split
}

function hashOf(tree: TreeHashes, start: number, end: number): Buffer {
  const size = end - start
  if (size === TILE_EVENTS && start % TILE_EVENTS === 0) return tree.tile(start / TILE_EVENTS)
  if (size === 1) return tree.leaf(start)
  const middle = start + splitOf(size)
  return hashPair(hashOf(tree, start, middle), hashOf(tree, middle, end))
}

/** The audit path of RFC 6962, section 2.1.1: from leaf `index` to the root of the first `size` leaves. */
export function inclusionProof(tree: TreeHashes, index: number, size: number): Buffer[] {
  const path = (start: number, end: number): Buffer[] => {
    if (end - start === 1) return []
    const middle = start + splitOf(end - start)
    return index < middle
      ? [...path(start, middle), hashOf(tree, middle, end)]
      : [...path(middle, end), hashOf(tree, start, middle)]
  }
  return path(0, size)
}

/** The consistency proof of RFC 6962, section 2.1.2: the first `from` leaves are the beginning of the first `size`. */
export function consistencyProof(tree: TreeHashes, from: number, size: number): Buffer[] {
  const proof = (start: number, end: number, isKnown: boolean): Buffer[] => {
    if (from === end) return isKnown ? [] : [hashOf(tree, start, end)]
    const middle = start + splitOf(end - start)
    return from <= middle
      ? [...proof(start, middle, isKnown), hashOf(tree, middle, end)]
      : [...proof(middle, end, false), hashOf(tree, start, middle)]
  }
  return from === size ? [] : proof(0, size, true)
}
