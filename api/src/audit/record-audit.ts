import { createHash } from 'node:crypto'
import { auditEvents, auditHeads, personalValues, type Transaction } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import type { Actor } from '../context.js'
import { Problem } from '../problems.js'
import { commitmentsOf, commitTo } from './personal-values.js'
import { canonicalData, canonicalJson, canonicalText, type CanonicalValue } from './canonical-json.js'

const GENESIS = '0'.repeat(64)
const DOMAIN = 'audit-event-v1\0'

export type AuditEntry = {
  /** `<entity>.<past participle>` */
  action: string
  /** Ids of what was acted on. */
  target: Record<string, string>
  outcome?: 'success' | 'refused'
  /** Ids, numbers, codes and what decides trust: never erased. No secrets. */
  data?: Record<string, CanonicalValue>
  /** What people wrote (names, reasons, references) and where somebody can be found: kept beside the chain. Null is none. */
  personal?: Record<string, CanonicalValue>
}

export type Auditor = { orgId: string; actor: Actor; requestId: string }

/**
 * Appends one event to the organization's chain, in the transaction of the change it records: without the event there
 * is no change. Call it last: it locks the head of the chain until the transaction ends.
 */
export async function recordAudit(tx: Transaction, by: Auditor, entry: AuditEntry): Promise<void> {
  try {
    await append(tx, by, entry)
  } catch (error) {
    if (refusesToRecord(error)) {
      throw new Problem(
        'audit-unavailable',
        'The audit log takes no event just now, so nothing was changed. Try again.',
        { cause: error },
      )
    }
    throw error
  }
}

/** No right to write, no room, read-only, shutting down: not a conflict that a repetition would solve at once. */
function refusesToRecord(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return /^(?:42501|25006|53|57P|08)/.test(code)
}

async function append(tx: Transaction, by: Auditor, entry: AuditEntry): Promise<void> {
  const values = commitTo(entry.personal ?? {})
  const { seq, prev, ts } = await lockHead(tx, by.orgId)
  const event = canonicalJson({
    v: 1,
    org: by.orgId,
    seq,
    ts,
    actor: actorOf(by.actor),
    action: entry.action,
    target: canonicalData(entry.target),
    outcome: entry.outcome ?? 'success',
    request: { id: canonicalText(by.requestId) },
    data: canonicalData(entry.data ?? {}),
    ...(values.length > 0 && { personal: commitmentsOf(values) }),
    prev,
  })
  const hash = createHash('sha256').update(DOMAIN).update(event).digest('hex')
  await tx
    .insert(auditEvents)
    .values({ orgId: by.orgId, seq, event, hash, action: entry.action, createdAt: new Date(ts) })
  const rows = values.map(({ name, salt, value }) => ({ orgId: by.orgId, seq, name, salt, value }))
  if (rows.length > 0) await tx.insert(personalValues).values(rows)
  await tx.update(auditHeads).set({ seq, hash }).where(eq(auditHeads.orgId, by.orgId))
}

async function lockHead(tx: Transaction, orgId: string): Promise<{ seq: number; prev: string; ts: string }> {
  let head = await lockedHead(tx, orgId)
  if (!head) {
    await tx.insert(auditHeads).values({ orgId, seq: 0, hash: GENESIS }).onConflictDoNothing()
    head = await lockedHead(tx, orgId)
  }
  if (!head) throw new Error('The head of the audit chain is not visible.')
  return { seq: head.seq + 1, prev: head.hash, ts: head.now }
}

/** The clock is read outside of the subquery that waits for the lock, so times never run backwards along the chain. */
async function lockedHead(tx: Transaction, orgId: string) {
  const { seq, hash } = auditHeads
  const locked = tx.select({ seq, hash }).from(auditHeads).where(eq(auditHeads.orgId, orgId)).for('update').as('locked')
  const now = sql<string>`to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
  const [head] = await tx.select({ seq: locked.seq, hash: locked.hash, now }).from(locked)
  return head
}

function actorOf(actor: Actor): CanonicalValue {
  return { type: actor.type, id: actor.id, ...(actor.via ? { via: { ...actor.via } } : {}) }
}
