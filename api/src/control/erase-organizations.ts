import { newId, organizations, staticApps, withOrg } from '@capstan/migrations'
import { and, eq, isNotNull, isNull, sql } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import type { ControlDeps } from './control-deps.js'

const BATCH = 5000
const NAME = 'terminated'
/** Longer than any link by which something can be stored. */
export const LONGEST_LINK_MS = 2 * 60 * 60_000

/** Erases what ended organizations stored. May be interrupted at any point: the next pass goes on. */
export async function eraseOrganizations(deps: ControlDeps): Promise<number> {
  const due = await deps.db
    .select({ id: organizations.id, terminatingAt: organizations.terminatingAt })
    .from(organizations)
    .where(and(isNotNull(organizations.terminatingAt), isNull(organizations.terminatedAt)))
  for (const { id, terminatingAt } of due) {
    const onFailure = (err: unknown) => deps.log.error({ err, orgId: id }, 'an organization could not be erased')
    await eraseOrganization(deps, id, terminatingAt ?? deps.now()).catch(onFailure)
  }
  return due.length
}

/**
 * Rows before objects. Links to store something that were given out before still work: it is over only when none can be
 * valid any more, and what they stored is listed again until then.
 */
async function eraseOrganization(deps: ControlDeps, orgId: string, terminatingAt: Date): Promise<void> {
  // Their removal is another loop's, and these rows are how it finds them.
  if ((await withOrg(deps.db, orgId, (tx) => tx.$count(staticApps))) > 0) {
    if (deps.staticParts === null)
      deps.log.warn({ orgId }, 'static objects remain, and STATIC_DIR or STATIC_S3_BUCKET is not set')
    return
  }
  let rows = 0
  for (;;) {
    const erased = await eraseRows(deps, orgId)
    if (erased === 0) break
    rows += erased
  }
  const objects = await deps.objects.deleteBelow(`orgs/${orgId}/`)
  const now = deps.now()
  const isOver = now.getTime() - terminatingAt.getTime() >= LONGEST_LINK_MS
  if (rows + objects === 0 && !isOver) return
  await withOrg(deps.db, orgId, async (tx) => {
    const ended = isOver ? { terminatedAt: now } : {}
    await tx
      .update(organizations)
      .set({ name: NAME, ...ended, updatedAt: now })
      .where(eq(organizations.id, orgId))
    const by = { orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
    const target = { organization: orgId }
    if (rows + objects > 0)
      await recordAudit(tx, by, { action: 'organization.erased', target, data: { rows, objects } })
    if (isOver) await recordAudit(tx, by, { action: 'organization.terminated', target })
  })
}

async function eraseRows(deps: ControlDeps, orgId: string): Promise<number> {
  const [answer] = await withOrg(deps.db, orgId, (tx) =>
    tx.execute<{ erased: string }>(sql`select erase_organization_rows(${BATCH}) as erased`),
  )
  return Number(answer?.erased ?? 0)
}
