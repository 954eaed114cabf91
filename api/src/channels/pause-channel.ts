import { channels, withOrg } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireChannelScope } from '../context.js'
import type { CountedChannel } from './present-channel.js'
import { requireChannel, requireCountedChannel } from './queries.js'

export type PauseChannel = { appId: string; channelId: string; paused: boolean }

/** A paused channel answers "no update": devices stay on what they have. Pausing twice changes nothing. */
export async function pauseChannel(ctx: Context, input: PauseChannel): Promise<CountedChannel> {
  requireChannelScope(ctx, 'channels:write', input.channelId)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const channel = await requireChannel(tx, input.appId, { id: input.channelId }, { lock: true })
    if ((channel.pausedAt !== null) !== input.paused) {
      await tx
        .update(channels)
        .set({ pausedAt: input.paused ? ctx.now() : null, updatedAt: sql`now()` })
        .where(eq(channels.id, channel.id))
    }
    const after = await requireCountedChannel(tx, input.appId, channel.id)
    const action = input.paused ? 'channel.paused' : 'channel.resumed'
    await recordAudit(tx, ctx, { action, target: { app: input.appId, channel: channel.id } })
    return after
  })
}
