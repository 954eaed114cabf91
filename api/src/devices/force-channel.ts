import { devices, withOrg } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { requireChannel } from '../channels/queries.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export type ForceChannel = { appId: string; deviceIds: readonly string[]; forcedAppChannelId: string | null }

/** Ties devices to a channel whatever they ask for; null frees them. All of them, or none when one is unknown. */
export async function forceChannel(ctx: Context, input: ForceChannel): Promise<(typeof devices.$inferSelect)[]> {
  requireScope(ctx, 'devices:write')
  await ctx.checkIns.flush(input.appId)
  const ids = [...new Set(input.deviceIds)]
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    if (input.forcedAppChannelId) await requireChannel(tx, input.appId, { id: input.forcedAppChannelId })
    const changed = await tx
      .update(devices)
      .set({ forcedAppChannelId: input.forcedAppChannelId })
      .where(and(eq(devices.appId, input.appId), inArray(devices.id, ids)))
      .returning()
    const missing = ids.find((id) => !changed.some((device) => device.id === id))
    if (missing !== undefined)
      throw new Problem('not-found', `This app has no device "${missing}". No device was changed.`)
    await recordAudit(tx, ctx, {
      action: input.forcedAppChannelId ? 'device.channel-forced' : 'device.channel-freed',
      target: { app: input.appId, ...(input.forcedAppChannelId ? { channel: input.forcedAppChannelId } : {}) },
      data: { devices: ids },
    })
    return changed
  })
}
