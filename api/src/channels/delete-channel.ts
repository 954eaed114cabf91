import { channels, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireChannelScope } from '../context.js'
import { type ChannelKey, requireChannel } from './queries.js'

/** Deletes a channel with its deployments; builds and bundles stay. */
export async function deleteChannel(ctx: Context, input: { appId: string; key: ChannelKey }): Promise<void> {
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const channel = await requireChannel(tx, input.appId, input.key, { lock: true })
    requireChannelScope(ctx, 'channels:write', channel.id)
    await tx.delete(channels).where(eq(channels.id, channel.id))
    await recordAudit(tx, ctx, {
      action: 'channel.deleted',
      target: { app: input.appId, channel: channel.id },
      data: { name: channel.name },
    })
  })
}
