import { auditEvents, type Transaction } from '@capstan/migrations'
import { and, desc, eq, gte, lt, type SQL, sql } from 'drizzle-orm'
import { type AuditRow, withValues } from './with-values.js'

export type AuditFilter = {
  action?: string | undefined
  /** Id of who acted. */
  actor?: string | undefined
  /** Any id that an event names as acted on. */
  target?: string | undefined
  from?: string | undefined
  to?: string | undefined
  /** Events older than this number: where the page before ended. */
  before?: number | undefined
}

/** Newest first; each with the exact text that was hashed and the values beside it that were not erased. */
export async function findAuditEvents(
  tx: Transaction,
  orgId: string,
  filter: AuditFilter,
  page: { limit: number; offset?: number },
): Promise<AuditRow[]> {
  const rows = await tx
    .select(eventColumns)
    .from(auditEvents)
    .where(eventsWith(orgId, filter))
    .orderBy(desc(auditEvents.seq))
    .limit(page.limit)
    .offset(page.offset ?? 0)
  return withValues(tx, orgId, rows)
}

export const eventColumns = { seq: auditEvents.seq, hash: auditEvents.hash, event: auditEvents.event }

export function eventsWith(orgId: string, { action, actor, target, from, to, before }: AuditFilter): SQL | undefined {
  const named = JSON.stringify([target])
  return and(
    eq(auditEvents.orgId, orgId),
    action === undefined ? undefined : eq(auditEvents.action, action),
    actor === undefined ? undefined : sql`${auditEvents.event}::jsonb #>> '{actor,id}' = ${actor}`,
    target === undefined
      ? undefined
      : sql`jsonb_path_query_array(${auditEvents.event}::jsonb -> 'target', '$.*') @> ${named}::jsonb`,
    from === undefined ? undefined : gte(auditEvents.createdAt, new Date(from)),
    to === undefined ? undefined : lt(auditEvents.createdAt, new Date(to)),
    before === undefined ? undefined : lt(auditEvents.seq, before),
  )
}
