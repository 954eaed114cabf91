import { channels, type Transaction, withOrg } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { isGuarded } from '../change-requests/deployment-consent.js'
import { recordAfterwards } from '../change-requests/record-afterwards.js'
import { supersede } from '../change-requests/supersede.js'
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
      await recordPause(tx, ctx, input, channel.id)
    }
    const after = await requireCountedChannel(tx, input.appId, channel.id)
    const action = input.paused ? 'channel.paused' : 'channel.resumed'
    await recordAudit(tx, ctx, { action, target: { app: input.appId, channel: channel.id } })
    return after
  })
}

/** One person pauses at any time; on a protected channel somebody else looks at it afterwards. */
async function recordPause(tx: Transaction, ctx: Context, { appId, paused }: PauseChannel, id: string): Promise<void> {
  const entity = `channel-pause/${id}`
  if (!paused) return supersede(tx, ctx, { entities: [entity], by: null })
  if (!(await isGuarded(tx, ctx.orgId, id))) return
  const subject = { app: appId, channel: id }
  await recordAfterwards(tx, ctx, { action: 'channel.pause', subject, effect: { paused: true }, entity })
}
