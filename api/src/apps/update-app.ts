import { apps, channels, withOrg, type Transaction } from '@capstan/migrations'
import { and, eq, isNotNull, lte, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { findEnvironment } from '../environments/find-environment.js'
import { Problem } from '../problems.js'
import type { appTypes } from './present-app.js'

export type UpdateApp = {
  appId: string
  name?: string | undefined
  type?: (typeof appTypes)[number] | undefined
  appChannelId?: string | null | undefined
  appChannelDiscoveryEnabled?: boolean | undefined
  staticDeliveryEnabled?: boolean | undefined
  nextAppBuildNumber?: number | undefined
  appEnvironmentId?: string | null | undefined
  egressHosts?: string[] | undefined
  iosBundleId?: string | null | undefined
  releaseCacheEnabled?: boolean | undefined
}

/** Absent keys stay as they are; `null` clears the default channel or environment. */
export async function updateApp(ctx: Context, input: UpdateApp): Promise<typeof apps.$inferSelect> {
  requireScope(ctx, 'apps:write')
  if (input.staticDeliveryEnabled === true && (ctx.staticPlace === null || ctx.channelStatementKey === null)) {
    throw new Problem('static-delivery-unavailable', 'This server has no place for static objects: see STATIC_DIR.')
  }
  const approval = await approveEgress(ctx, input)
  const moved = await approveDefaultChannel(ctx, input)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    if (input.appChannelId) await requireChannel(tx, input.appId, input.appChannelId)
    if (input.appEnvironmentId) await findEnvironment(tx, input.appId, { id: input.appEnvironmentId })
    const nextNumber = input.nextAppBuildNumber
    const [app] = await tx
      .update(apps)
      .set({
        ...(input.name === undefined ? {} : { name: input.name }),
        ...(input.type === undefined ? {} : { type: input.type }),
        ...(input.appChannelId === undefined ? {} : { appChannelId: input.appChannelId }),
        ...(input.appChannelDiscoveryEnabled === undefined
          ? {}
          : { appChannelDiscoveryEnabled: input.appChannelDiscoveryEnabled }),
        ...(input.staticDeliveryEnabled === undefined ? {} : { staticDeliveryEnabled: input.staticDeliveryEnabled }),
        ...(input.appEnvironmentId === undefined ? {} : { appEnvironmentId: input.appEnvironmentId }),
        ...(input.egressHosts === undefined ? {} : { egressHosts: [...new Set(input.egressHosts)] }),
        ...(nextNumber === undefined ? {} : { nextBuildNumber: nextNumber }),
        ...(input.iosBundleId === undefined ? {} : { iosBundleId: input.iosBundleId }),
        ...(input.releaseCacheEnabled === undefined ? {} : { releaseCache: input.releaseCacheEnabled }),
        updatedAt: sql`now()`,
      })
      .where(
        and(eq(apps.id, input.appId), nextNumber === undefined ? undefined : lte(apps.nextBuildNumber, nextNumber)),
      )
      .returning()
    if (!app) throw new Problem('request-invalid', 'nextAppBuildNumber: build numbers only go up.')
    if (moved) await spendApproval(tx, ctx, moved, { entity: `app-channel/${app.id}` })
    const spent = approval && (await spendApproval(tx, ctx, approval, { entity: `app-egress/${app.id}` }))
    await recordAudit(tx, ctx, {
      action: 'app.updated',
      target: { app: app.id },
      data: {
        ...(input.staticDeliveryEnabled !== undefined && { staticDeliveryEnabled: app.staticDeliveryEnabled }),
        ...(input.releaseCacheEnabled !== undefined && { releaseCacheEnabled: app.releaseCache }),
        ...(spent && { approval: spent }),
      },
      personal: { egressHosts: input.egressHosts ? app.egressHosts : null },
    })
    return app
  })
}

/** Where builds may connect to is a guarded setting; what does not change it needs nobody. */
async function approveEgress(ctx: Context, { appId, egressHosts }: UpdateApp): Promise<Approval | null> {
  if (egressHosts === undefined) return null
  const wanted = [...new Set(egressHosts)]
  const [app] = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx.select({ hosts: apps.egressHosts }).from(apps).where(eq(apps.id, appId)),
  )
  if (JSON.stringify(app?.hosts) === JSON.stringify(wanted)) return null
  return requireApproval(ctx, { action: 'app.egress', subject: { app: appId }, effect: { egressHosts: wanted } })
}

/** Devices that name no channel ask for the default one: away from a protected channel is like lifting its protection. */
async function approveDefaultChannel(ctx: Context, { appId, appChannelId }: UpdateApp): Promise<Approval | null> {
  if (appChannelId === undefined) return null
  const [now] = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({ id: channels.id })
      .from(apps)
      .innerJoin(channels, and(eq(channels.id, apps.appChannelId), isNotNull(channels.protectedAt)))
      .where(eq(apps.id, appId)),
  )
  if (now === undefined || now.id === appChannelId) return null
  return requireApproval(ctx, {
    action: 'channel.protection',
    subject: { app: appId, channel: now.id },
    effect: { defaultChannel: appChannelId },
  })
}

async function requireChannel(tx: Transaction, appId: string, channelId: string): Promise<void> {
  const [channel] = await tx
    .select({ id: channels.id })
    .from(channels)
    .where(and(eq(channels.id, channelId), eq(channels.appId, appId)))
  if (!channel) throw new Problem('channel-unknown', 'appChannelId: this app has no such channel.')
}
