import { apps, credentials, environments, jobs, sealedValues, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, isNotNull, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { requireApproval } from '../change-requests/require-approval.js'
import { beginChange, finishChange, returnApproval, type Spent } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { removeCredential } from '../credentials/delete-credential.js'
import { entitiesOfApp } from '../change-requests/supersede.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import { Problem } from '../problems.js'
import { shredKeys } from '../sealed-values/shred-keys.js'
import type { ShredOwner } from '../vault/seal-client.js'

/**
 * Deletes the app with its credentials, builds, bundles and devices, then the objects that belonged to them. The keys of
 * its credentials are destroyed first, so that no backup of the rows opens; after a fault the call may be repeated.
 */
export async function deleteApp(ctx: Context, appId: string): Promise<void> {
  requireScope(ctx, 'apps:write')
  await withOrg(ctx.db, ctx.orgId, (tx) => refuseWhileBusy(tx, appId))
  const approval = await requireApproval(ctx, {
    action: 'app.delete',
    subject: { app: appId },
    effect: { exists: false },
  })
  await withOrg(ctx.db, ctx.orgId, (tx) => beginChange(tx, ctx, approval))
  try {
    await removeApp(ctx, appId, async (tx) => {
      const supersedes = await entitiesOfApp(tx, appId)
      return finishChange(tx, ctx, approval, { entity: `app/${appId}`, supersedes })
    })
  } catch (error) {
    await withOrg(ctx.db, ctx.orgId, (tx) => returnApproval(tx, ctx, approval))
    throw error
  }
  await deleteDiscarded(ctx.objects, ctx.log, [appObjectPrefix(ctx.orgId, appId)])
}

async function removeApp(ctx: Context, appId: string, finish: (tx: Transaction) => Promise<Spent>): Promise<void> {
  for (const credentialId of await credentialsOf(ctx, appId)) {
    await removeCredential(ctx, { appId, credentialId }, async () => null)
  }
  for (const owner of await secretOwnersOf(ctx, appId)) await shredKeys(ctx, owner)
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    // From here on nothing new can point at the app; what came in between is not swept away with it.
    await tx.select({ id: apps.id }).from(apps).where(eq(apps.id, appId)).for('update')
    await refuseWhileBusy(tx, appId)
    if ((await tx.$count(credentials, eq(credentials.appId, appId))) > 0) {
      throw new Problem('request-conflict', 'A credential was added while the app was being deleted. Delete it again.')
    }
    await tx.delete(apps).where(eq(apps.id, appId))
    await noteDiscarded(tx, ctx.orgId, [appObjectPrefix(ctx.orgId, appId)])
    const approval = await finish(tx)
    await recordAudit(tx, ctx, { action: 'app.deleted', target: { app: appId }, data: { approval } })
  })
}

async function credentialsOf(ctx: Context, appId: string): Promise<string[]> {
  const rows = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx.select({ id: credentials.id }).from(credentials).where(eq(credentials.appId, appId)),
  )
  return rows.map(({ id }) => id)
}

/** The app's environments, and the app itself where a build was given variables of its own. */
async function secretOwnersOf(ctx: Context, appId: string): Promise<ShredOwner[]> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const rows = await tx.select({ id: environments.id }).from(environments).where(eq(environments.appId, appId))
    const ofBuilds = and(eq(sealedValues.appId, appId), isNotNull(sealedValues.buildId))
    const owners: ShredOwner[] = rows.map(({ id }) => ({ kind: 'environment', id }))
    return (await tx.$count(sealedValues, ofBuilds)) > 0 ? [...owners, { kind: 'app', id: appId }] : owners
  })
}

async function refuseWhileBusy(tx: Transaction, appId: string): Promise<void> {
  const unfinished = await tx
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(eq(jobs.appId, appId), isNull(jobs.finishedAt)))
    .limit(1)
  if (unfinished.length > 0) {
    throw new Problem('app-busy', 'The app has unfinished builds. Cancel them, then delete the app.')
  }
}

/** Every object of an app has a key below this one. */
export function appObjectPrefix(orgId: string, appId: string): string {
  return `orgs/${orgId}/apps/${appId}/`
}
