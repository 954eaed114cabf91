import {
  accessReviewItems,
  apps,
  channels,
  type GrantableRole,
  newId,
  roleGrants,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { and, eq, isNull, type SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { reopenItem } from '../access-reviews/reopen-item.js'
import { namesOf } from '../audit/names-of.js'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { requireMember } from '../members/list-members.js'
import { refuseEscalation } from '../members/refuse-escalation.js'
import { Problem } from '../problems.js'
import { requireTeam } from '../teams/queries.js'

export type CreateGrant = {
  userId?: string | undefined
  teamId?: string | undefined
  role: GrantableRole
  appId?: string | undefined
  channelId?: string | undefined
}

/**
 * Gives a member or a team a role in an app or on a channel, with the next request. There is one grant for each place: a
 * second one changes its role, and gives a suspended one back.
 */
export async function createGrant(ctx: Context, input: CreateGrant): Promise<typeof roleGrants.$inferSelect> {
  requireScope(ctx, 'members:write')
  refuseEscalation(ctx, input.role)
  checkShape(input)
  const { userId = null, teamId = null, appId = null, channelId = null, role } = input
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await requireParts(tx, input)
    const place = { userId, teamId, appId, channelId }
    const [before] = await tx.select().from(roleGrants).where(isPlace(place)).for('update')
    const [grant] = before
      ? await tx.update(roleGrants).set({ role, suspendedAt: null }).where(eq(roleGrants.id, before.id)).returning()
      : await tx
          .insert(roleGrants)
          .values({ id: newId(), orgId: ctx.orgId, ...place, role, createdBy: ctx.actor.id })
          .onConflictDoNothing()
          .returning()
    if (!grant) throw new Problem('request-conflict', 'Such a grant was made at the same time. Look at it again.')
    if (before && before.role !== role) {
      await reopenItem(tx, ctx, { match: eq(accessReviewItems.grantId, grant.id), role })
    }
    await recordAudit(tx, ctx, {
      action: before ? 'grant.changed' : 'grant.created',
      target: targetOf(grant),
      data: { role },
    })
    return grant
  })
}

export function targetOf(grant: typeof roleGrants.$inferSelect): Record<string, string> {
  const { id, userId, teamId, appId, channelId } = grant
  return namesOf({ grant: id, user: userId, team: teamId, app: appId, channel: channelId })
}

function checkShape({ userId, teamId, role, appId, channelId }: CreateGrant): void {
  const refuse = (why: string) => {
    throw new Problem('grant-invalid', why)
  }
  if ((userId === undefined) === (teamId === undefined)) refuse('Name either "userId" or "teamId".')
  if (channelId !== undefined && appId === undefined) refuse('appId: name the app of the channel too.')
  if (userId !== undefined && appId === undefined) {
    refuse('appId: name an app. What somebody may do in the whole organization is the role of the member.')
  }
  if (role === 'admin' && (appId === undefined || channelId !== undefined)) {
    refuse('role: "admin" is given for a whole app, neither for a channel nor for more than one app.')
  }
}

async function requireParts(tx: Transaction, { userId, teamId, appId, channelId }: CreateGrant): Promise<void> {
  if (userId !== undefined) await requireMember(tx, userId)
  if (teamId !== undefined) await requireTeam(tx, teamId)
  if (appId !== undefined && (await tx.$count(apps, eq(apps.id, appId))) === 0) {
    throw new Problem('not-found', 'The organization has no such app.')
  }
  if (channelId === undefined || appId === undefined) return
  if ((await tx.$count(channels, and(eq(channels.id, channelId), eq(channels.appId, appId)))) > 0) return
  throw new Problem('not-found', 'This app has no such channel.')
}

type Place = Record<'userId' | 'teamId' | 'appId' | 'channelId', string | null>

function isPlace({ userId, teamId, appId, channelId }: Place): SQL | undefined {
  const is = (column: PgColumn, value: string | null) => (value === null ? isNull(column) : eq(column, value))
  return and(
    is(roleGrants.userId, userId),
    is(roleGrants.teamId, teamId),
    is(roleGrants.appId, appId),
    is(roleGrants.channelId, channelId),
  )
}
