import { appPublicKeys, appRoots, apps, withOrg, type Transaction } from '@capstan/migrations'
import { sha256Hex } from '@capstan/sdk/archive'
import { decodeBase64, ReleaseError, type RootStatement, type Trust, verifyNextRoot } from '@capstan/sdk/release'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { platformKeyOf } from '../platform-keys/platform-key.js'
import { Problem } from '../problems.js'
import { turnKeys } from './turn-keys.js'
import { type AppRoot, loadRootTrust } from './queries.js'

/** As many as a device follows in one answer. */
const MAX_ROOTS = 100

export type AddRoot = { appId: string; root: Record<string, unknown> }

/**
 * Takes the next root statement of an app: checked as a device that trusts the one before checks it. From now on its
 * keys, and no others, sign what is uploaded. Sending it again changes nothing.
 */
export async function addRoot(ctx: Context, input: AddRoot): Promise<AppRoot> {
  requireScope(ctx, 'public-keys:write')
  const sha256 = await payloadHash(input.root)
  const approval = await approveRoot(ctx, input, sha256)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    // One root after the other: each is judged by the one before.
    await tx.select({ id: apps.id }).from(apps).where(eq(apps.id, input.appId)).for('no key update')
    const known = await findByHash(tx, input.appId, sha256)
    if (known) return known
    const { root, trust } = await judge(ctx, input, await loadRootTrust(tx, input.appId))
    const keys = await turnKeys(tx, ctx, input.appId, trust.releaseKeys, root.releaseKeys)
    const [added] = await tx
      .insert(appRoots)
      .values({
        orgId: ctx.orgId,
        appId: input.appId,
        version: root.version,
        envelope: input.root,
        sha256,
        createdBy: ctx.actor.id,
      })
      .returning()
    if (!added) throw new Error('The root was not inserted.')
    if (approval === null) throw new Error('A root was added that was known before.')
    // The keys that it turns are its own doing: what was said of them before counts no more.
    const spent = await spendApproval(tx, ctx, approval, {
      entity: `app-root/${input.appId}`,
      supersedes: await entitiesOfKeys(tx, input.appId),
    })
    await recordAudit(tx, ctx, {
      action: 'root.added',
      target: { app: input.appId },
      data: { version: root.version, sha256, ...keys, revokedBundleIds: root.revokedBundleIds, approval: spent },
    })
    return added
  })
}

/** Judged first, so that nobody is asked for what would be refused. Null: the app has it already. */
async function approveRoot(ctx: Context, input: AddRoot, sha256: string): Promise<Approval | null> {
  const root = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    if (await findByHash(tx, input.appId, sha256)) return null
    return (await judge(ctx, input, await loadRootTrust(tx, input.appId))).root
  })
  if (root === null) return null
  return requireApproval(ctx, {
    action: 'root.add',
    subject: { app: input.appId },
    effect: { sha256 },
    details: { version: root.version, revokedBundleIds: root.revokedBundleIds },
  })
}

async function entitiesOfKeys(tx: Transaction, appId: string): Promise<string[]> {
  const keys = await tx.select({ id: appPublicKeys.id }).from(appPublicKeys).where(eq(appPublicKeys.appId, appId))
  return keys.map(({ id }) => `public-key/${id}`)
}

async function payloadHash({ payload }: Record<string, unknown>): Promise<string> {
  const bytes = typeof payload === 'string' ? decodeBase64(payload) : null
  if (!bytes) throw new Problem('root-invalid', 'root: send the DSSE envelope that "capstan rotate-root" wrote.')
  return sha256Hex(bytes)
}

async function findByHash(tx: Transaction, appId: string, sha256: string): Promise<AppRoot | null> {
  const [known] = await tx
    .select()
    .from(appRoots)
    .where(and(eq(appRoots.appId, appId), eq(appRoots.sha256, sha256)))
  return known ?? null
}

async function judge(ctx: Context, { appId, root: envelope }: AddRoot, trusted: Trust) {
  if (trusted.releaseKeys.length === 0) {
    throw new Problem('root-invalid', 'Register the public key that is compiled into the app first, then rotate it.')
  }
  if (trusted.rootVersion >= MAX_ROOTS + 1) {
    throw new Problem('root-invalid', `An app has at most ${MAX_ROOTS} root statements; devices follow no more.`)
  }
  const next = await verifyNextRoot(envelope, trusted, appId).catch((error: unknown) => {
    if (error instanceof ReleaseError) throw new Problem('root-invalid', `${error.message} (${error.code})`)
    throw error
  })
  await checkPlatformKey(ctx, next.trust)
  return next satisfies { root: RootStatement; trust: Trust }
}

/** A root without this server's key would make every device refuse what this server says is current. */
async function checkPlatformKey(ctx: Context, { platformKeys }: Trust): Promise<void> {
  const own = await platformKeyOf(ctx.channelStatementKey)
  if (own === null || platformKeys.some(({ keyId }) => keyId === own.keyId)) return
  throw new Problem(
    'root-invalid',
    `The root does not name this server's key ${own.keyId}, so devices would refuse every update. Take it from /v1/platform-keys.`,
  )
}
