import { appPublicKeys, withOrg } from '@capstan/migrations'
import { and, eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

/** From now on the key signs nothing that is uploaded or deployed; what channels serve already stays. */
export async function revokePublicKey(ctx: Context, input: { appId: string; publicKeyId: string }): Promise<void> {
  requireScope(ctx, 'public-keys:write')
  const ofApp = and(eq(appPublicKeys.id, input.publicKeyId), eq(appPublicKeys.appId, input.appId))
  const [known] = await withOrg(ctx.db, ctx.orgId, (tx) => tx.select().from(appPublicKeys).where(ofApp))
  if (!known) throw new Problem('not-found', 'This app has no such public key.')
  const approval = await requireApproval(ctx, {
    action: 'public-key.revoke',
    subject: { app: input.appId, publicKey: known.id },
    effect: { fingerprint: known.fingerprintSha256, revoked: true },
  })
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [key] = await tx
      .update(appPublicKeys)
      .set({ revokedAt: sql`coalesce(revoked_at, now())` })
      .where(ofApp)
      .returning()
    if (!key) throw new Problem('not-found', 'This app has no such public key.')
    const spent = await spendApproval(tx, ctx, approval, { entity: `public-key/${key.id}` })
    await recordAudit(tx, ctx, {
      action: 'public-key.revoked',
      target: { app: input.appId, publicKey: key.id },
      data: { fingerprint: key.fingerprintSha256, approval: spent },
    })
  })
}
