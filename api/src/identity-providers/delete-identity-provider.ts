import { deviceCodes, identityProviders, sessions, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { endDeviceCodes } from '../device-codes/end-device-codes.js'
import { Problem } from '../problems.js'

/** Ends a provider, and every session that a provider of this organization opened or a command line waits for. */
export async function deleteIdentityProvider(ctx: Context, identityProviderId: string): Promise<void> {
  requireScope(ctx, 'policies:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const deleted = await tx
      .delete(identityProviders)
      .where(eq(identityProviders.id, identityProviderId))
      .returning({ id: identityProviders.id })
    if (deleted.length === 0) throw new Problem('not-found')
    const ended = await tx
      .update(sessions)
      .set({ revokedAt: ctx.now() })
      .where(and(eq(sessions.onlyOrgId, ctx.orgId), isNull(sessions.revokedAt)))
      .returning({ id: sessions.id })
    await endDeviceCodes(tx, eq(deviceCodes.onlyOrgId, ctx.orgId))
    await recordAudit(tx, ctx, {
      action: 'identity-provider.deleted',
      target: { identityProvider: identityProviderId },
      data: { sessions: ended.length },
    })
  })
}
