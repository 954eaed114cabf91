import type { channels, devices } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const Device = z
  .object({
    id: z.string(),
    appId: Id,
    appChannelId: Id.nullable(),
    appDeploymentId: Id.nullable(),
    appVersionCode: z.string(),
    appVersionName: z.string(),
    bundleId: Id.nullable(),
    country: z.string().nullable(),
    customId: z.string().nullable(),
    forcedAppChannelId: Id.nullable(),
    osVersion: z.string(),
    platform: z.number().int(),
    pluginVersion: z.string(),
    createdAt: Timestamp,
    lastSeenAt: Timestamp,
    appChannel: z.object({ id: Id, name: z.string() }).nullable().optional(),
  })
  .openapi('Device')

/** What the CLI prints as text must be text: a device that never said it gets an empty one. */
export function presentDevice(
  row: typeof devices.$inferSelect,
  appChannel?: typeof channels.$inferSelect | null,
): z.infer<typeof Device> {
  return {
    id: row.id,
    appId: row.appId,
    appChannelId: row.appChannelId,
    appDeploymentId: row.appDeploymentId,
    appVersionCode: row.appVersionCode ?? '',
    appVersionName: row.appVersionName ?? '',
    bundleId: row.bundleId,
    country: null,
    customId: row.customId,
    forcedAppChannelId: row.forcedAppChannelId,
    osVersion: row.osVersion ?? '',
    platform: row.platform,
    pluginVersion: row.pluginVersion ?? '',
    createdAt: row.createdAt.toISOString(),
    lastSeenAt: row.lastSeenAt.toISOString(),
    ...(appChannel === undefined ? {} : { appChannel: appChannel && { id: appChannel.id, name: appChannel.name } }),
  }
}
