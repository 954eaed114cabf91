import { createHash } from 'node:crypto'

/** A Merkle tree of RFC 6962 that only grows: it keeps the roots of its complete subtrees, largest first. */
export interface MerkleTree {
  append(leaf: Uint8Array): void
  /** The root over everything appended so far. */
  root(): Uint8Array
}

function hashNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  return createHash('sha256').update('\u0001').update(left).update(right).digest()
}

/** An empty tree. */
export function merkleTree(): MerkleTree {
  const subtrees: Uint8Array[] = []
  let size = 0
  return {
    append(leaf) {
      let hash: Uint8Array = createHash('sha256').update('\0').update(leaf).digest()
      for (let rest = size; rest % 2 === 1; rest = (rest - 1) / 2) hash = hashNode(subtrees.pop() as Uint8Array, hash)
      subtrees.push(hash)
      size++
    },
    root() {
      let root: Uint8Array | null = null
      for (const subtree of subtrees.toReversed()) root = root === null ? subtree : hashNode(subtree, root)
      return root ?? createHash('sha256').digest()
    },
  }
}
