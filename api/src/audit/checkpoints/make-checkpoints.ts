import {
  auditCheckpoints,
  auditEvents,
  auditHeads,
  auditTiles,
  type Database,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { and, desc, eq, lt } from 'drizzle-orm'
import type { Logger } from 'pino'
import type { KeyStore } from '../../vault/key-store.js'
import { type CheckpointState, readState, writeState } from './checkpoint-state.js'
import { ChainBroken, extendCheckpoint, type Signed } from './extend-checkpoint.js'
import { rootOf } from './merkle-range.js'
import { type CheckpointKey, signNote } from './signed-note.js'

export type CheckpointDeps = {
  db: Database
  key: CheckpointKey
  /** Remembers, outside the database, what was signed. */
  states: KeyStore
  /** Host under whose name the notes are: the platform's public one. */
  host: string
  log: Logger
  now: () => Date
}

const MOST_ORGANIZATIONS = 1000
const DUE_EVENTS = 256
const DUE_AFTER_MS = 5 * 60_000

/**
 * Signs a checkpoint for each organization that has 256 events, or one older than five minutes, that none covers yet.
 * A chain that does not extend what was signed before is never signed again. Resolves to the number of checkpoints.
 */
export async function makeCheckpoints(deps: CheckpointDeps): Promise<number> {
  const due = await deps.db
    .select({ orgId: auditHeads.orgId })
    .from(auditHeads)
    .where(lt(auditHeads.checkpointSize, auditHeads.seq))
    .limit(MOST_ORGANIZATIONS)
  let made = 0
  for (const { orgId } of due) {
    try {
      if (await makeCheckpoint(deps, orgId)) made += 1
    } catch (error) {
      if (!(error instanceof ChainBroken)) throw error
      deps.log.error({ orgId, reason: error.message }, 'the audit chain is not signed: it was changed')
    }
  }
  return made
}

/**
 * Tiles, then the state, then the note, each durable before the next: after a crash in between, the same note is made
 * again, and no other one of that size.
 */
async function makeCheckpoint(deps: CheckpointDeps, orgId: string): Promise<boolean> {
  const extended = await withOrg(deps.db, orgId, async (tx) => {
    const signed = await lastSigned(tx, orgId)
    const covered = signed?.size ?? 0
    if (!(await isDue(tx, orgId, covered, deps.now()))) return null
    const { state, tiles } = await extendCheckpoint(tx, orgId, await readState(deps.states, orgId), signed)
    const rows = tiles.map((tile) => ({ orgId, ...tile }))
    if (rows.length > 0) await tx.insert(auditTiles).values(rows).onConflictDoNothing()
    return { state, covered }
  })
  if (extended === null) return false
  const { state, covered } = extended
  await writeState(deps.states, orgId, state)
  if (state.range.size <= covered) return false
  await withOrg(deps.db, orgId, (tx) => keepNote(deps, tx, orgId, state))
  return true
}

async function keepNote(
  deps: CheckpointDeps,
  tx: Transaction,
  orgId: string,
  { range }: CheckpointState,
): Promise<void> {
  const origin = `${deps.host}/audit/${orgId}`
  const note = signNote(deps.key, { origin, size: range.size, root: rootOf(range) })
  await tx.insert(auditCheckpoints).values({ orgId, size: range.size, note, createdAt: deps.now() })
  await tx.update(auditHeads).set({ checkpointSize: range.size }).where(eq(auditHeads.orgId, orgId))
}

async function lastSigned(tx: Transaction, orgId: string): Promise<Signed | null> {
  const [last] = await tx
    .select({ size: auditCheckpoints.size, note: auditCheckpoints.note })
    .from(auditCheckpoints)
    .where(eq(auditCheckpoints.orgId, orgId))
    .orderBy(desc(auditCheckpoints.size))
    .limit(1)
  if (!last) return null
  return { size: last.size, root: Buffer.from(last.note.split('\n')[2] ?? '', 'base64') }
}

async function isDue(tx: Transaction, orgId: string, covered: number, now: Date): Promise<boolean> {
  const [head] = await tx.select({ seq: auditHeads.seq }).from(auditHeads).where(eq(auditHeads.orgId, orgId))
  if ((head?.seq ?? 0) - covered >= DUE_EVENTS) return true
  const [oldest] = await tx
    .select({ createdAt: auditEvents.createdAt })
    .from(auditEvents)
    .where(and(eq(auditEvents.orgId, orgId), eq(auditEvents.seq, covered + 1)))
  return oldest !== undefined && now.getTime() - oldest.createdAt.getTime() >= DUE_AFTER_MS
}
