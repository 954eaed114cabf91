import { auditEvents, withOrg } from '@capstan/migrations'
import { and, asc, eq, gt } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { type AuditFilter, findAuditEvents } from './find-audit-events.js'

export type ListAuditEvents = AuditFilter & { limit: number; offset: number }

const EXPORT_BATCH = 1000

export async function listAuditEvents(ctx: Context, { limit, offset, ...filter }: ListAuditEvents) {
  requireScope(ctx, 'audit:read')
  return withOrg(ctx.db, ctx.orgId, (tx) => findAuditEvents(tx, ctx.orgId, filter, { limit, offset }))
}

/** The whole chain as JSON Lines, oldest first, read in batches so that its length does not matter. */
export async function* exportAuditEvents(ctx: Context): AsyncGenerator<Uint8Array> {
  requireScope(ctx, 'audit:read')
  let last = 0
  for (;;) {
    const rows = await withOrg(ctx.db, ctx.orgId, (tx) =>
      tx
        .select({ seq: auditEvents.seq, hash: auditEvents.hash, event: auditEvents.event })
        .from(auditEvents)
        .where(and(eq(auditEvents.orgId, ctx.orgId), gt(auditEvents.seq, last)))
        .orderBy(asc(auditEvents.seq))
        .limit(EXPORT_BATCH),
    )
    if (rows.length === 0) return
    const lines = rows.map((row) => `${JSON.stringify({ seq: row.seq, hash: row.hash, event: row.event })}\n`)
    yield Buffer.from(lines.join(''), 'utf8')
    last = rows.at(-1)?.seq ?? last
  }
}
