import { apiTokens, trustPolicies, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

/** Ends a trust policy and every token that came of it, with the next request. */
export async function deleteTrustPolicy(ctx: Context, trustPolicyId: string): Promise<void> {
  requireScope(ctx, 'tokens:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    // Locked first: an exchange under way ends before, and its token is found, or finds no policy any more.
    const mine = eq(trustPolicies.id, trustPolicyId)
    const [policy] = await tx.select({ id: trustPolicies.id }).from(trustPolicies).where(mine).for('update')
    if (!policy) throw new Problem('not-found')
    const ended = await tx
      .update(apiTokens)
      .set({ revokedAt: ctx.now() })
      .where(and(eq(apiTokens.trustPolicyId, trustPolicyId), isNull(apiTokens.revokedAt)))
      .returning({ id: apiTokens.id })
    await tx.delete(trustPolicies).where(mine)
    await recordAudit(tx, ctx, {
      action: 'trust-policy.deleted',
      target: { trustPolicy: trustPolicyId },
      data: { tokens: ended.length },
    })
  })
}
