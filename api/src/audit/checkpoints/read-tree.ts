import { auditEvents, auditTiles, type Transaction } from '@capstan/migrations'
import { and, asc, eq, gt, lt, lte } from 'drizzle-orm'
import type { TreeHashes } from './build-proof.js'
import { hashLeaf, TILE_EVENTS } from './merkle-range.js'

/** Reads what a proof about the tree of `size` events needs: its tiles, and the events of the tiles around the `cuts`. */
export async function readTree(
  tx: Transaction,
  orgId: string,
  size: number,
  cuts: readonly number[],
): Promise<TreeHashes> {
  const tiles = await tx
    .select({ tile: auditTiles.tile, hash: auditTiles.hash })
    .from(auditTiles)
    .where(and(eq(auditTiles.orgId, orgId), lt(auditTiles.tile, Math.floor(size / TILE_EVENTS))))
    .orderBy(asc(auditTiles.tile))
  const leaves = new Map<number, Buffer>()
  for (const tile of new Set([size, ...cuts].map((cut) => Math.floor(cut / TILE_EVENTS)))) {
    const first = tile * TILE_EVENTS
    const rows = await tx
      .select({ seq: auditEvents.seq, event: auditEvents.event })
      .from(auditEvents)
      .where(and(eq(auditEvents.orgId, orgId), gt(auditEvents.seq, first), lte(auditEvents.seq, first + TILE_EVENTS)))
    for (const { seq, event } of rows) leaves.set(seq - 1, hashLeaf(event))
  }
  const hashes = new Map(tiles.map(({ tile, hash }) => [tile, Buffer.from(hash)]))
  return { tile: (index) => need(hashes, index), leaf: (index) => need(leaves, index) }
}

function need(hashes: ReadonlyMap<number, Buffer>, index: number): Buffer {
  const hash = hashes.get(index)
  if (!hash) throw new Error(`The Merkle tree of an audit chain lacks hash ${index}.`)
  return hash
}
