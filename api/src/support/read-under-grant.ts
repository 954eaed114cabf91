import { findOrgOf, supportGrants, type SupportScope, type Transaction, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type OperatorIdentity, requireOperator } from '../auth/operator-access.js'
import type { Context, Deps } from '../context.js'
import { Problem } from '../problems.js'
import { isLive, type SupportGrantRow } from './present-grant.js'

export type SupportCall = {
  operator: OperatorIdentity
  authorization: string | undefined
  grantId: string
  requestId: string
}

/** The grant of this operator; another's, and one that is not there, are the same. */
export async function findOwnGrant(
  deps: Deps,
  { operator, grantId }: Pick<SupportCall, 'operator' | 'grantId'>,
): Promise<SupportGrantRow> {
  const orgId = await findOrgOf(deps.db, 'supportGrant', grantId)
  const [grant] = orgId
    ? await withOrg(deps.db, orgId, (tx) => tx.select().from(supportGrants).where(eq(supportGrants.id, grantId)))
    : []
  if (!grant || grant.operatorId !== operator.operatorId) throw new Problem('not-found')
  return grant
}

/**
 * Reads something of an organization under a live grant of the scope. The grant is looked at, and the event written, in the
 * transaction of the read: who revokes it before sees no read after. What is read for longer asks `ctx.stillAdmitted`.
 */
export async function readUnderGrant<T>(
  deps: Deps,
  call: SupportCall,
  scope: SupportScope,
  read: (tx: Transaction, ctx: Context) => Promise<{ found: T; target: Record<string, string> }>,
): Promise<{ found: T; ctx: Context }> {
  const { orgId } = await findOwnGrant(deps, call)
  const actor = { type: 'operator', id: call.operator.operatorId } as const
  const stillAdmitted = () => isStillGranted(deps, call, scope)
  const ctx: Context = { ...deps, orgId, actor, requestId: call.requestId, stillAdmitted }
  return withOrg(deps.db, orgId, async (tx) => {
    const [grant] = await tx.select().from(supportGrants).where(eq(supportGrants.id, call.grantId)).for('share')
    if (!grant || !isLive(grant, deps.now())) {
      throw new Problem('support-grant-needed', 'This grant is not approved, was taken back, or has run out. Ask anew.')
    }
    if (grant.scope !== scope) {
      throw new Problem('support-grant-needed', `This grant is for "${grant.scope}" and nothing else.`)
    }
    const { found, target } = await read(tx, ctx)
    await recordAudit(tx, ctx, {
      action: 'support.read',
      target: { ...target, grant: grant.id },
      data: { scope },
      personal: { caseReference: grant.caseReference },
    })
    return { found, ctx }
  })
}

/** Whether the operator is still one, and the grant still opens this. */
async function isStillGranted(deps: Deps, call: SupportCall, scope: SupportScope): Promise<boolean> {
  try {
    const operator = await requireOperator(deps, call.authorization)
    const grant = await findOwnGrant(deps, { operator, grantId: call.grantId })
    return isLive(grant, deps.now()) && grant.scope === scope
  } catch (error) {
    if (error instanceof Problem) return false
    throw error
  }
}
