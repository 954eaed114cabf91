import { createHash } from 'node:crypto'

/** The complete subtrees, largest first, of a Merkle tree (RFC 6962) over the first `size` events. */
export type MerkleRange = { readonly size: number; readonly subtrees: readonly Buffer[] }

/** Events under one tile: a complete subtree whose hash is kept. */
export const TILE_EVENTS = 256

export const emptyRange: MerkleRange = { size: 0, subtrees: [] }

export const hashLeaf = (event: string): Buffer => createHash('sha256').update('\0').update(event).digest()

export const hashPair = (left: Uint8Array, right: Uint8Array): Buffer =>
  createHash('sha256').update('\u0001').update(left).update(right).digest()

/** The range with one event more, and the hash of the tile that this event completed. */
export function extendRange(
  { size, subtrees }: MerkleRange,
  leaf: Buffer,
): { range: MerkleRange; tile: Buffer | null } {
  const kept = [...subtrees]
  let [hash, tile] = [leaf, null as Buffer | null]
  let events = 1
  for (let rest = size; rest % 2 === 1; rest = (rest - 1) / 2) {
    const left = kept.pop()
    if (left === undefined) throw new RangeError('The range has fewer subtrees than its size needs.')
    hash = hashPair(left, hash)
    events *= 2
    if (events === TILE_EVENTS) tile = hash
  }
  return { range: { size: size + 1, subtrees: [...kept, hash] }, tile }
}

export function rootOf({ subtrees }: MerkleRange): Buffer {
  const root = subtrees.reduceRight<Buffer | null>((right, left) => (right ? hashPair(left, right) : left), null)
  return root ?? createHash('sha256').digest()
}
