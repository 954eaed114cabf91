import { dependencyCaches, jobs, newId, withOrg } from '@capstan/migrations'
import { and, eq, isNotNull, lt, ne, or, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import type { ControlDeps } from './control-deps.js'

const DAY_MS = 24 * 60 * 60_000
const UNUSED_DAYS = 14
const UNFINISHED_DAYS = 1
const ROWS_AT_ONCE = 500
const APP_CACHE_BYTES = 5 * 1024 ** 3

type Due = { id: string; orgId: string; reason: 'unused' | 'unfinished' | 'space' }
type Needed = Pick<ControlDeps, 'db' | 'objects' | 'log' | 'now'>

/**
 * Removes caches that nobody used for a while, those of an app beyond its space with the longest unused first, and what
 * builds left that never ended. A row goes before its object.
 */
export async function sweepCaches(deps: Needed, appBytes = APP_CACHE_BYTES): Promise<number> {
  let removed = 0
  for (const due of [...(await findOld(deps)), ...(await findBeyondSpace(deps, appBytes))]) {
    if (await evict(deps, due)) removed += 1
  }
  return removed
}

async function findOld({ db, now }: Needed): Promise<Due[]> {
  const before = (days: number) => new Date(now().getTime() - days * DAY_MS)
  const unfinished = and(
    ne(dependencyCaches.status, 'ready'),
    or(isNotNull(jobs.finishedAt), lt(dependencyCaches.createdAt, before(UNFINISHED_DAYS))),
  )
  const rows = await db
    .select({ id: dependencyCaches.id, orgId: dependencyCaches.orgId, status: dependencyCaches.status })
    .from(dependencyCaches)
    .leftJoin(jobs, eq(jobs.buildId, dependencyCaches.buildId))
    .where(or(lt(dependencyCaches.lastUsedAt, before(UNUSED_DAYS)), unfinished))
    .limit(ROWS_AT_ONCE)
  return rows.map(({ status, ...row }) => ({ ...row, reason: status === 'ready' ? 'unused' : 'unfinished' }))
}

async function findBeyondSpace({ db }: Needed, appBytes: number): Promise<Due[]> {
  const rows = await db.execute<{ id: string; orgId: string }>(sql`
    select id, org_id as "orgId" from (
      select id, org_id, sum(size_bytes) over (partition by app_id order by last_used_at desc, id desc) as bytes
      from dependency_caches where status = 'ready') ranked
    where bytes > ${appBytes} limit ${ROWS_AT_ONCE}`)
  return rows.map((row) => ({ ...row, reason: 'space' }))
}

async function evict(deps: Needed, { id, orgId, reason }: Due): Promise<boolean> {
  const gone = await withOrg(deps.db, orgId, async (tx) => {
    const [row] = await tx.delete(dependencyCaches).where(eq(dependencyCaches.id, id)).returning()
    if (!row) return null
    await noteDiscarded(tx, orgId, [row.objectKey])
    const by = { orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
    await recordAudit(tx, by, {
      action: 'cache.evicted',
      target: { app: row.appId, cache: id },
      data: { key: row.key, tier: row.tier, reason },
    })
    return row.objectKey
  })
  if (gone === null) return false
  await deleteDiscarded(deps.objects, deps.log, [gone])
  return true
}
