import { apiTokens, memberships, organizations, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { type DestroyedKeys, SealError } from '../vault/seal-client.js'
import { endBuilds } from './end-builds.js'

export type TerminateOrganization = {
  /** The organization's name, typed by who wants it gone. */
  name: string
}

/**
 * Ends an organization at once: its keys are destroyed, its builds canceled, its members and tokens gone. What it
 * stored is erased by the control process afterwards; its audit chain and the deletion certificate stay. All of it or
 * nothing, but for the keys: after a fault in between they are gone already, and the call is made again.
 */
export async function terminateOrganization(ctx: Context, { name }: TerminateOrganization): Promise<DestroyedKeys> {
  requireScope(ctx, 'organizations:terminate')
  await requireName(ctx, name)
  const approval = await requireApproval(ctx, {
    action: 'organization.terminate',
    subject: { organization: ctx.orgId },
    effect: { terminating: true },
  })
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    // Not `update`: the broker's audit event refers to this row while the transaction is open.
    const [organization] = await tx
      .select({ terminatingAt: organizations.terminatingAt })
      .from(organizations)
      .where(eq(organizations.id, ctx.orgId))
      .for('no key update')
    if (organization === undefined || organization.terminatingAt !== null) throw new Problem('not-found')
    const spent = await spendApproval(tx, ctx, approval, {})
    const destroyed = await destroyKeys(ctx)
    const builds = await endBuilds(tx, ctx)
    const tokens = await tx.delete(apiTokens).where(eq(apiTokens.orgId, ctx.orgId)).returning({ id: apiTokens.id })
    const members = await tx
      .delete(memberships)
      .where(eq(memberships.orgId, ctx.orgId))
      .returning({ id: memberships.userId })
    await tx.update(organizations).set({ terminatingAt: ctx.now() }).where(eq(organizations.id, ctx.orgId))
    await recordAudit(tx, ctx, {
      action: 'organization.terminating',
      target: { organization: ctx.orgId },
      data: {
        deletionCertificate: destroyed.certificateId,
        builds,
        tokens: tokens.length,
        members: members.length,
        approval: spent,
      },
    })
    return destroyed
  })
}

async function requireName(ctx: Context, name: string): Promise<void> {
  const [organization] = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx.select({ name: organizations.name }).from(organizations).where(eq(organizations.id, ctx.orgId)),
  )
  if (organization?.name === name) return
  throw new Problem(
    'confirmation-differs',
    'name: type the name of the organization exactly as it is shown. Everything in it will be destroyed for good.',
  )
}

/** Before the rows say so: were the keys destroyed after them, a fault in between would leave keys that nobody destroys. */
async function destroyKeys(ctx: Context): Promise<DestroyedKeys> {
  try {
    return await ctx.seal.destroyOrganization(ctx.orgId)
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'the keys of an organization were not destroyed')
    throw new Problem(
      'dependency-unavailable',
      'The keys of the organization could not be destroyed just now, so it was not ended. Try again in a moment.',
    )
  }
}
