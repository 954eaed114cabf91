import { roleGrants, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, isNull, type SQL } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { targetOf } from './create-grant.js'

/** A grant by its id, or what a team has in all of an app. */
export type GrantKey = { grantId: string } | { teamId: string; appId: string }

/** Takes effect with the next request. */
export async function deleteGrant(ctx: Context, key: GrantKey): Promise<void> {
  requireScope(ctx, 'members:write')
  const match =
    'grantId' in key
      ? eq(roleGrants.id, key.grantId)
      : and(eq(roleGrants.teamId, key.teamId), eq(roleGrants.appId, key.appId), isNull(roleGrants.channelId))
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    if (!(await takeBackGrant(tx, ctx, match))) throw new Problem('not-found', 'There is no such grant.')
  })
}

/** Whether there was one. */
export async function takeBackGrant(tx: Transaction, ctx: Context, match: SQL | undefined): Promise<boolean> {
  const [grant] = await tx.delete(roleGrants).where(match).returning()
  if (!grant) return false
  await recordAudit(tx, ctx, { action: 'grant.deleted', target: targetOf(grant), data: { role: grant.role } })
  return true
}
