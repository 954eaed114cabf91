import { appPublicKeys, newId, withOrg } from '@capstan/migrations'
import { importReleaseKey, readReleasePublicKey, ReleaseError } from '@capstan/sdk/release'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export type AddPublicKey = { appId: string; pem: string }

/**
 * Registers a key of the customer: from now on a signature by any other key is refused at upload. Adding a key again
 * changes nothing; a revoked one stays revoked.
 */
export async function addPublicKey(ctx: Context, input: AddPublicKey): Promise<typeof appPublicKeys.$inferSelect> {
  requireScope(ctx, 'public-keys:write')
  const { pem, fingerprint, bits } = await readKey(input.pem)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [added] = await tx
      .insert(appPublicKeys)
      .values({
        id: newId(),
        orgId: ctx.orgId,
        appId: input.appId,
        pem,
        fingerprintSha256: fingerprint,
        createdBy: ctx.actor.id,
      })
      .onConflictDoNothing()
      .returning()
    if (!added) {
      const [known] = await tx
        .select()
        .from(appPublicKeys)
        .where(and(eq(appPublicKeys.appId, input.appId), eq(appPublicKeys.fingerprintSha256, fingerprint)))
      if (known && !known.revokedAt) return known
      throw new Problem(
        'public-key-revoked',
        'This key was revoked for this app and stays so. Generate a new key pair.',
      )
    }
    await recordAudit(tx, ctx, {
      action: 'public-key.added',
      target: { app: input.appId, publicKey: added.id },
      data: { fingerprint, bits },
    })
    return added
  })
}

/** The key under the policy that devices apply, written in one form whatever line breaks it came with. */
async function readKey(text: string): Promise<{ pem: string; fingerprint: string; bits: number }> {
  try {
    const { spki, bits } = readReleasePublicKey(text)
    const lines =
      Buffer.from(spki)
        .toString('base64')
        .match(/.{1,64}/g) ?? []
    const pem = `-----BEGIN PUBLIC KEY-----\n${lines.join('\n')}\n-----END PUBLIC KEY-----\n`
    return { pem, fingerprint: (await importReleaseKey(pem)).keyId, bits }
  } catch (error) {
    if (error instanceof ReleaseError) throw new Problem('public-key-invalid', `${error.message} (${error.code})`)
    throw error
  }
}
