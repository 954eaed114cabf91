import { type supportGrants, supportGrantStatuses, supportScopes } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export type SupportGrantRow = typeof supportGrants.$inferSelect

export const SupportGrant = z
  .object({
    id: Id,
    organizationId: Id,
    operator: z.object({ id: Id, name: z.string() }),
    scope: z.enum(supportScopes),
    caseReference: z.string(),
    reason: z.string(),
    hours: z.number().int(),
    status: z.enum([...supportGrantStatuses, 'expired']),
    decidedBy: Id.nullable(),
    createdAt: Timestamp,
    expiresAt: Timestamp.nullable(),
  })
  .openapi('SupportGrant')

/** Whether it opens anything now. */
export function isLive(grant: SupportGrantRow, now: Date): boolean {
  return grant.status === 'approved' && grant.expiresAt !== null && grant.expiresAt > now
}

export function presentGrant(grant: SupportGrantRow, now: Date): z.infer<typeof SupportGrant> {
  const hasRunOut = grant.status === 'approved' && !isLive(grant, now)
  return {
    id: grant.id,
    organizationId: grant.orgId,
    operator: { id: grant.operatorId, name: grant.operatorName },
    scope: grant.scope,
    caseReference: grant.caseReference,
    reason: grant.reason,
    hours: grant.hours,
    status: hasRunOut ? 'expired' : grant.status,
    decidedBy: grant.decidedBy,
    createdAt: grant.createdAt.toISOString(),
    expiresAt: grant.expiresAt?.toISOString() ?? null,
  }
}
