import { invitations, type invitationStatuses, withOrg } from '@capstan/migrations'
import { desc, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'

export type ListInvitations = {
  status?: (typeof invitationStatuses)[number] | undefined
  limit: number
  offset: number
}

/** Newest first. */
export async function listInvitations(ctx: Context, input: ListInvitations) {
  requireScope(ctx, 'access:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(invitations)
      .where(input.status ? eq(invitations.status, input.status) : undefined)
      .orderBy(desc(invitations.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}
