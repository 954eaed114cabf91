import { newId, organizations, supportGrants, type SupportScope, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { OperatorIdentity } from '../auth/operator-access.js'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import type { SupportGrantRow } from './present-grant.js'

export type RequestGrant = {
  organizationId: string
  scope: SupportScope
  caseReference: string
  reason: string
  hours: number
}

/** Asks an organization; nothing is opened by that. */
export async function requestGrant(
  deps: Deps,
  operator: OperatorIdentity,
  { organizationId: orgId, scope, caseReference, reason, hours }: RequestGrant,
  requestId: string,
): Promise<SupportGrantRow> {
  return withOrg(deps.db, orgId, async (tx) => {
    const [organization] = await tx
      .select({ id: organizations.id })
      .from(organizations)
      .where(and(eq(organizations.id, orgId), isNull(organizations.terminatingAt)))
    if (!organization) throw new Problem('not-found')
    const asked = { id: newId(), orgId, operatorId: operator.operatorId, operatorName: operator.name }
    const [grant] = await tx
      .insert(supportGrants)
      .values({ ...asked, scope, caseReference, reason, hours })
      .returning()
    if (!grant) throw new Error('The grant was not stored.')
    const by = { orgId, actor: { type: 'operator', id: operator.operatorId } as const, requestId }
    await recordAudit(tx, by, {
      action: 'support.requested',
      target: { grant: grant.id },
      data: { scope, hours },
      personal: { caseReference, reason },
    })
    return grant
  })
}
