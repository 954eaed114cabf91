import { auditEvents, type Transaction, withOrg } from '@capstan/migrations'
import { and, asc, eq, gt } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { type AuditFilter, eventColumns, findAuditEvents } from './find-audit-events.js'
import { type AuditRow, withValues } from './with-values.js'

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
    const rows = await withOrg(ctx.db, ctx.orgId, (tx) => readBatch(tx, ctx.orgId, last))
    if (rows.length === 0) return
    yield Buffer.from(rows.map(lineOf).join(''), 'utf8')
    last = rows.at(-1)?.seq ?? last
  }
}

async function readBatch(tx: Transaction, orgId: string, after: number): Promise<AuditRow[]> {
  const rows = await tx
    .select(eventColumns)
    .from(auditEvents)
    .where(and(eq(auditEvents.orgId, orgId), gt(auditEvents.seq, after)))
    .orderBy(asc(auditEvents.seq))
    .limit(EXPORT_BATCH)
  return withValues(tx, orgId, rows)
}

/** With the salts, so that whoever has the export can see that the values are those of the events. */
function lineOf({ seq, hash, event, values }: AuditRow): string {
  const entries = values.map(({ name, salt, value }) => [name, { salt: Buffer.from(salt).toString('hex'), value }])
  const personal = entries.length > 0 ? { personal: Object.fromEntries(entries) as object } : {}
  return `${JSON.stringify({ seq, hash, event, ...personal })}\n`
}
