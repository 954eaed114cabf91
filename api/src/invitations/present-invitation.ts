import { invitableRoles, type invitations, invitationStatuses } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const Invitation = z
  .object({
    id: Id,
    organizationId: Id,
    email: z.string(),
    role: z.enum(invitableRoles),
    /** A pending one whose time is over is not accepted any more. */
    status: z.enum(invitationStatuses),
    expiresAt: Timestamp,
    createdAt: Timestamp,
  })
  .openapi('Invitation')

export function presentInvitation(row: typeof invitations.$inferSelect): z.infer<typeof Invitation> {
  return {
    id: row.id,
    organizationId: row.orgId,
    email: row.email,
    role: row.role,
    status: row.status,
    expiresAt: row.expiresAt.toISOString(),
    createdAt: row.createdAt.toISOString(),
  }
}
