import { supportGrants, withOrg } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import type { SupportGrantRow } from './present-grant.js'

const HOUR_MS = 60 * 60_000

/** From now on, for as long as was asked for. */
export async function approveGrant(ctx: Context, grantId: string): Promise<SupportGrantRow> {
  requireScope(ctx, 'support:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [asked] = await tx.select().from(supportGrants).where(eq(supportGrants.id, grantId)).for('update')
    if (!asked) throw new Problem('not-found')
    if (asked.status !== 'requested') {
      throw new Problem('support-grant-decided', `This request is ${asked.status}. Support has to ask anew.`)
    }
    const approvedAt = ctx.now()
    const expiresAt = new Date(approvedAt.getTime() + asked.hours * HOUR_MS)
    const decided = { status: 'approved' as const, approvedAt, expiresAt, decidedBy: ctx.actor.id }
    const [grant] = await tx.update(supportGrants).set(decided).where(eq(supportGrants.id, grantId)).returning()
    if (!grant) throw new Error('The grant was not stored.')
    await recordAudit(tx, ctx, {
      action: 'support.approved',
      target: { grant: grantId, operator: grant.operatorId },
      data: { scope: grant.scope, expiresAt: expiresAt.toISOString() },
    })
    return grant
  })
}

/** Declines what was asked, takes back what was approved: with the next request. Ending it twice changes nothing. */
export async function endGrant(ctx: Context, grantId: string): Promise<void> {
  requireScope(ctx, 'support:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [known] = await tx.select().from(supportGrants).where(eq(supportGrants.id, grantId)).for('update')
    if (!known) throw new Problem('not-found')
    const status = known.status === 'requested' ? ('declined' as const) : ('revoked' as const)
    const ended = await tx
      .update(supportGrants)
      .set({ status, endedAt: ctx.now(), decidedBy: ctx.actor.id })
      .where(and(eq(supportGrants.id, grantId), inArray(supportGrants.status, ['requested', 'approved'])))
      .returning({ id: supportGrants.id })
    if (ended.length > 0) await recordAudit(tx, ctx, { action: `support.${status}`, target: { grant: grantId } })
  })
}
