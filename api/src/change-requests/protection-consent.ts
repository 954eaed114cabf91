import type { channels, Transaction } from '@capstan/migrations'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import type { Observed } from './observe.js'
import { type Approval, requireApproval } from './require-approval.js'
import { type Spent, spendApproval } from './spend-approval.js'

type Channel = Pick<typeof channels.$inferSelect, 'id' | 'appId' | 'name' | 'protectedAt'>

/**
 * What takes the protection of a channel away: to lift it, to delete the channel, or to rename it, after which another
 * channel could take the name that devices ask for. Null where it is not protected.
 */
export async function approveUnprotecting(ctx: Context, channel: Channel, effect: Observed): Promise<Approval | null> {
  if (channel.protectedAt === null) return null
  return requireApproval(ctx, {
    action: 'channel.protection',
    subject: { app: channel.appId, channel: channel.id },
    effect,
    details: { from: channel.name },
  })
}

/** In the transaction of the change, with the channel as it is under its lock. */
export async function spendUnprotecting(
  tx: Transaction,
  ctx: Context,
  channel: Channel,
  approval: Approval | null,
): Promise<Spent | null> {
  if (channel.protectedAt === null) return null
  if (approval === null)
    throw new Problem('request-conflict', 'The channel was protected at the same moment. Look again.')
  return spendApproval(tx, ctx, approval, { entity: `channel-protection/${channel.id}` })
}
