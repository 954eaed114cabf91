import { type memberships, roles, type users } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const Member = z
  .object({
    /** The person's id: a member is a person in an organization. */
    id: Id,
    organizationId: Id,
    userId: Id,
    role: z.enum(roles),
    /** Since then the role counts for nothing: nobody attested it in a review of access. */
    suspendedAt: Timestamp.nullable(),
    lastUsedAt: Timestamp.nullable(),
    createdAt: Timestamp,
    user: z.object({ id: Id, email: z.string(), name: z.string().nullable() }),
  })
  .openapi('Member')

export type MemberRow = {
  membership: typeof memberships.$inferSelect
  user: Pick<typeof users.$inferSelect, 'id' | 'email' | 'name'>
}

export function presentMember({ membership, user }: MemberRow): z.infer<typeof Member> {
  return {
    id: membership.userId,
    organizationId: membership.orgId,
    userId: membership.userId,
    role: membership.role,
    suspendedAt: membership.suspendedAt?.toISOString() ?? null,
    lastUsedAt: membership.lastUsedAt?.toISOString() ?? null,
    createdAt: membership.createdAt.toISOString(),
    user,
  }
}
