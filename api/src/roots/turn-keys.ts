import { appPublicKeys, newId, type Transaction } from '@capstan/migrations'
import type { TrustedKey } from '@capstan/sdk/release'
import { and, eq, inArray, isNull, notInArray } from 'drizzle-orm'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { readKey } from '../public-keys/read-key.js'

/** Makes the registered keys of an app those of its newest root; gives the fingerprints that came and went. */
export async function turnKeys(
  tx: Transaction,
  ctx: Context,
  appId: string,
  keys: readonly TrustedKey[],
  pems: readonly string[],
): Promise<{ added: string[]; revoked: string[] }> {
  const fingerprints = keys.map(({ keyId }) => keyId)
  const known = await tx
    .select()
    .from(appPublicKeys)
    .where(and(eq(appPublicKeys.appId, appId), inArray(appPublicKeys.fingerprintSha256, fingerprints)))
  const revokedOne = known.find(({ revokedAt }) => revokedAt !== null)
  if (revokedOne) {
    throw new Problem(
      'public-key-revoked',
      `Key ${revokedOne.fingerprintSha256} of the root was revoked for this app and stays so. Rotate to a new key.`,
    )
  }
  const added: string[] = []
  for (const pem of pems) {
    const key = await readKey(pem)
    if (known.some(({ fingerprintSha256 }) => fingerprintSha256 === key.fingerprint)) continue
    added.push(key.fingerprint)
    await tx.insert(appPublicKeys).values({
      id: newId(),
      orgId: ctx.orgId,
      appId,
      pem: key.pem,
      fingerprintSha256: key.fingerprint,
      createdBy: ctx.actor.id,
    })
  }
  const revoked = await tx
    .update(appPublicKeys)
    .set({ revokedAt: ctx.now() })
    .where(
      and(
        eq(appPublicKeys.appId, appId),
        isNull(appPublicKeys.revokedAt),
        notInArray(appPublicKeys.fingerprintSha256, fingerprints),
      ),
    )
    .returning({ fingerprint: appPublicKeys.fingerprintSha256 })
  return { added, revoked: revoked.map(({ fingerprint }) => fingerprint) }
}
