import { channels, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { releaseEntities } from '../change-requests/deployment-consent.js'
import { approveUnprotecting, spendUnprotecting } from '../change-requests/protection-consent.js'
import { supersede } from '../change-requests/supersede.js'
import { type Context, requireChannelScope } from '../context.js'
import { type ChannelKey, requireChannel } from './queries.js'

/** Deletes a channel with its deployments; builds and bundles stay. */
export async function deleteChannel(ctx: Context, input: { appId: string; key: ChannelKey }): Promise<void> {
  const seen = await withOrg(ctx.db, ctx.orgId, (tx) => requireChannel(tx, input.appId, input.key))
  requireChannelScope(ctx, 'channels:write', seen.id)
  const approval = await approveUnprotecting(ctx, seen, { exists: false })
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const channel = await requireChannel(tx, input.appId, { id: seen.id }, { lock: true })
    const spent = await spendUnprotecting(tx, ctx, channel, approval)
    const gone = [...(await releaseEntities(tx, channel.id)), `channel-pause/${channel.id}`]
    await supersede(tx, ctx, { entities: gone, by: null })
    await tx.delete(channels).where(eq(channels.id, channel.id))
    await recordAudit(tx, ctx, {
      action: 'channel.deleted',
      target: { app: input.appId, channel: channel.id },
      ...(spent && { data: { approval: spent } }),
      personal: { name: channel.name },
    })
  })
}
