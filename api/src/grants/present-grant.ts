import { grantableRoles, type roleGrants } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const Grant = z
  .object({
    id: Id,
    organizationId: Id,
    /** Of one of the two: a member, or everybody in a team. */
    userId: Id.nullable(),
    teamId: Id.nullable(),
    role: z.enum(grantableRoles),
    /** Null, for a team only: in the whole organization. */
    appId: Id.nullable(),
    /** Null: in the whole app. */
    appChannelId: Id.nullable(),
    suspendedAt: Timestamp.nullable(),
    lastUsedAt: Timestamp.nullable(),
    createdAt: Timestamp,
  })
  .openapi('Grant')

export function presentGrant(row: typeof roleGrants.$inferSelect): z.infer<typeof Grant> {
  return {
    id: row.id,
    organizationId: row.orgId,
    userId: row.userId,
    teamId: row.teamId,
    role: row.role,
    appId: row.appId,
    appChannelId: row.channelId,
    suspendedAt: row.suspendedAt?.toISOString() ?? null,
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
  }
}
