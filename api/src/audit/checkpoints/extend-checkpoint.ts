import { createHash } from 'node:crypto'
import { auditEvents, auditHeads, type Transaction } from '@capstan/migrations'
import { and, asc, eq, gt } from 'drizzle-orm'
import { emptyRange, extendRange, hashLeaf, rootOf, TILE_EVENTS } from './merkle-range.js'
import type { CheckpointState } from './checkpoint-state.js'

const BATCH = 1000
/** Events that one pass takes in; a longer backlog is signed in several checkpoints. */
const MOST_EVENTS = 50_000
const GENESIS: CheckpointState = { range: emptyRange, head: '0'.repeat(64) }

/** The chain in the database is not the one that was signed before, or is not a chain. */
export class ChainBroken extends Error {
  override name = 'ChainBroken' as const
}

export type Extended = { state: CheckpointState; tiles: { tile: number; hash: Buffer }[] }
/** A checkpoint that was signed before: the chain must pass through it. */
export type Signed = { size: number; root: Buffer }

/**
 * Takes in the events that came since the state was written. Each must name its place and the hash before it, and have
 * the hash that is stored with it. A state that was lost, or restored from a backup, catches up through the checkpoint
 * that was `signed` last. Throws `ChainBroken`.
 */
export async function extendCheckpoint(
  tx: Transaction,
  orgId: string,
  from: CheckpointState | null,
  signed: Signed | null,
): Promise<Extended> {
  let { range, head } = from ?? GENESIS
  await requireSignedPart(tx, orgId, { range, head })
  const tiles: Extended['tiles'] = []
  for (let taken = 0; taken < MOST_EVENTS; taken += BATCH) {
    const rows = await tx
      .select({ seq: auditEvents.seq, event: auditEvents.event, hash: auditEvents.hash })
      .from(auditEvents)
      .where(and(eq(auditEvents.orgId, orgId), gt(auditEvents.seq, range.size)))
      .orderBy(asc(auditEvents.seq))
      .limit(BATCH)
    for (const row of rows) {
      requireNext(row, range.size + 1, head)
      const next = extendRange(range, hashLeaf(row.event))
      if (next.tile) tiles.push({ tile: next.range.size / TILE_EVENTS - 1, hash: next.tile })
      range = next.range
      head = row.hash
      if (range.size === signed?.size && !rootOf(range).equals(signed.root)) {
        throw new ChainBroken(`The first ${range.size} events are not the ones that were signed.`)
      }
    }
    if (rows.length < BATCH) break
  }
  return { state: { range, head }, tiles }
}

/** The last event that a checkpoint covers must still be there, and nothing may have been cut off behind it. */
async function requireSignedPart(tx: Transaction, orgId: string, { range, head }: CheckpointState): Promise<void> {
  if (range.size === 0) return
  const [last] = await tx
    .select({ hash: auditEvents.hash })
    .from(auditEvents)
    .where(and(eq(auditEvents.orgId, orgId), eq(auditEvents.seq, range.size)))
  const [counted] = await tx.select({ seq: auditHeads.seq }).from(auditHeads).where(eq(auditHeads.orgId, orgId))
  if (last?.hash !== head || (counted?.seq ?? 0) < range.size) {
    throw new ChainBroken(`Event ${range.size} is not the one that was signed.`)
  }
}

function requireNext(row: { seq: number; event: string; hash: string }, seq: number, prev: string): void {
  const hash = createHash('sha256').update('audit-event-v1\0').update(row.event).digest('hex')
  const event = JSON.parse(row.event) as { seq?: unknown; prev?: unknown }
  if (row.seq !== seq || event.seq !== seq || event.prev !== prev || row.hash !== hash) {
    throw new ChainBroken(`Event ${seq} does not follow the one before it.`)
  }
}
