import { newId, organizations, withOrg } from '@capstan/migrations'
import { and, eq, isNotNull, isNull, sql } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import type { ControlDeps } from './control-deps.js'

const BATCH = 5000
const NAME = 'terminated'

/** Erases what ended organizations stored. May be interrupted at any point: the next pass goes on. */
export async function eraseOrganizations(deps: ControlDeps): Promise<number> {
  const due = await deps.db
    .select({ id: organizations.id })
    .from(organizations)
    .where(and(isNotNull(organizations.terminatingAt), isNull(organizations.terminatedAt)))
  for (const { id } of due) await eraseOrganization(deps, id)
  return due.length
}

/** Rows before objects: without its row nothing new is stored, so what is listed then is all there is. */
async function eraseOrganization(deps: ControlDeps, orgId: string): Promise<void> {
  let rows = 0
  for (;;) {
    const erased = await eraseRows(deps, orgId)
    if (erased === 0) break
    rows += erased
  }
  let objects = 0
  for await (const { key } of deps.objects.list(`orgs/${orgId}/`)) {
    await deps.objects.delete(key)
    objects += 1
  }
  await withOrg(deps.db, orgId, async (tx) => {
    const now = deps.now()
    await tx
      .update(organizations)
      .set({ name: NAME, terminatedAt: now, updatedAt: now })
      .where(eq(organizations.id, orgId))
    const by = { orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
    const data = { rows, objects }
    await recordAudit(tx, by, { action: 'organization.terminated', target: { organization: orgId }, data })
  })
}

async function eraseRows(deps: ControlDeps, orgId: string): Promise<number> {
  const [answer] = await withOrg(deps.db, orgId, (tx) =>
    tx.execute<{ erased: string }>(sql`select erase_organization_rows(${BATCH}) as erased`),
  )
  return Number(answer?.erased ?? 0)
}
