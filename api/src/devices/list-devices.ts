import { channels, devices, withOrg } from '@capstan/migrations'
import { and, desc, eq, ilike, or } from 'drizzle-orm'
import { containing } from '../channels/list-channels.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export type ListDevices = {
  appId: string
  id?: string | undefined
  query?: string | undefined
  limit: number
  offset: number
}

/** Last seen first, each with the channel it asked for. */
export async function listDevices(ctx: Context, input: ListDevices) {
  requireScope(ctx, 'devices:read')
  await ctx.checkIns.flush(input.appId)
  const pattern = input.query ? containing(input.query) : null
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({ device: devices, channel: channels })
      .from(devices)
      .leftJoin(channels, eq(channels.id, devices.appChannelId))
      .where(
        and(
          eq(devices.appId, input.appId),
          input.id ? eq(devices.id, input.id) : undefined,
          pattern ? or(ilike(devices.id, pattern), ilike(devices.customId, pattern)) : undefined,
        ),
      )
      .orderBy(desc(devices.lastSeenAt), desc(devices.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}

export async function getDevice(ctx: Context, input: { appId: string; deviceId: string }) {
  const [found] = await listDevices(ctx, { appId: input.appId, id: input.deviceId, limit: 1, offset: 0 })
  if (!found)
    throw new Problem('not-found', 'This app has no such device. It appears here once it has asked for an update.')
  return found
}
