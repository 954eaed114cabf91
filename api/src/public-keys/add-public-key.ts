import { appPublicKeys, newId, withOrg, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { findNewestRoot, readRootClaims } from '../roots/queries.js'
import { type Profile, profilesOf, readKey, type ReleaseKey } from './read-key.js'

export type AddPublicKey = {
  appId: string
  pem: string
  /** The clients that must be able to verify by it; a key that they cannot use is refused. */
  profile?: Profile | undefined
}

/**
 * Registers a key of the customer: from now on a signature by any other key is refused at upload. Adding a key again
 * changes nothing; a revoked one stays revoked.
 */
export async function addPublicKey(ctx: Context, input: AddPublicKey): Promise<typeof appPublicKeys.$inferSelect> {
  requireScope(ctx, 'public-keys:write')
  const key = await readKey(input.pem)
  checkProfile(key, input.profile)
  const { pem, fingerprint, bits, algorithm } = key
  const approval = await approveKey(ctx, input.appId, key)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await checkNoRoot(tx, input.appId, fingerprint)
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
    if (approval === null)
      throw new Problem('request-conflict', 'The keys of the app were changed at the same moment. Look again.')
    const spent = await spendApproval(tx, ctx, approval, { entity: `public-key/${added.id}` })
    await recordAudit(tx, ctx, {
      action: 'public-key.added',
      target: { app: input.appId, publicKey: added.id },
      data: { fingerprint, bits, algorithm, approval: spent },
    })
    return added
  })
}

/** Null: the app has this key already, or had it, so that nothing will be added. */
async function approveKey(ctx: Context, appId: string, key: ReleaseKey): Promise<Approval | null> {
  const same = and(eq(appPublicKeys.appId, appId), eq(appPublicKeys.fingerprintSha256, key.fingerprint))
  const known = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await checkNoRoot(tx, appId, key.fingerprint)
    return tx.$count(appPublicKeys, same)
  })
  if (known > 0) return null
  return requireApproval(ctx, {
    action: 'public-key.add',
    subject: { app: appId, fingerprint: key.fingerprint },
    effect: { fingerprint: key.fingerprint, revoked: false },
    details: { algorithm: key.algorithm, bits: key.bits },
  })
}

function checkProfile(key: ReleaseKey, wanted: Profile | undefined): void {
  if (wanted === undefined || profilesOf(key).includes(wanted)) return
  throw new Problem(
    'public-key-invalid',
    `The official plugins cannot verify by a key of ${key.algorithm} with ${key.bits} bits. Give them an RSA key of 2048, 3072 or 4096 bits (openssl genrsa), or register this one for profile "release".`,
  )
}

/** Once an app has a root statement, its devices believe the keys of the root and no others. */
async function checkNoRoot(tx: Transaction, appId: string, fingerprint: string): Promise<void> {
  const root = await findNewestRoot(tx, appId)
  if (!root) return
  const keys = await Promise.all(readRootClaims(root).releaseKeys.map(readKey))
  if (keys.some((key) => key.fingerprint === fingerprint)) return
  throw new Problem(
    'root-in-charge',
    `Root statement ${root.version} names the keys of this app. Name this key in the next one: capstan rotate-root.`,
  )
}
