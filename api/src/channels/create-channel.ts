import { channels, newId, withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import type { CountedChannel } from './present-channel.js'

export type CreateChannel = {
  appId: string
  name: string
  protected?: boolean | undefined
  expiresAt?: string | null | undefined
}

export async function createChannel(ctx: Context, input: CreateChannel): Promise<CountedChannel> {
  requireScope(ctx, 'channels:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [channel] = await tx
      .insert(channels)
      .values({
        id: newId(),
        orgId: ctx.orgId,
        appId: input.appId,
        name: input.name,
        protectedAt: input.protected ? ctx.now() : null,
        expiresAt: input.expiresAt ? new Date(input.expiresAt) : null,
      })
      .onConflictDoNothing()
      .returning()
    if (!channel) {
      throw new Problem(
        'channel-name-taken',
        `The app has a channel named "${input.name}" already. Use it, or choose another name.`,
      )
    }
    await recordAudit(tx, ctx, {
      action: 'channel.created',
      target: { app: input.appId, channel: channel.id },
      data: { protected: channel.protectedAt !== null },
      personal: { name: channel.name },
    })
    return { ...channel, totalAppDeployments: 0, totalAppDevices: 0 }
  })
}
