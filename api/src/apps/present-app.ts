import type { apps } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const appTypes = ['android', 'capacitor', 'cordova', 'ios'] as const

export const App = z
  .object({
    id: Id,
    organizationId: Id,
    name: z.string(),
    type: z.enum(appTypes),
    appChannelId: Id.nullable(),
    appEnvironmentId: Id.nullable(),
    appChannelDiscoveryEnabled: z.boolean(),
    egressHosts: z.array(z.string()),
    nextAppBuildNumber: z.number().int(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  })
  .openapi('App')

export function presentApp(row: typeof apps.$inferSelect): z.infer<typeof App> {
  return {
    id: row.id,
    organizationId: row.orgId,
    name: row.name,
    type: row.type,
    appChannelId: row.appChannelId,
    appEnvironmentId: row.appEnvironmentId,
    appChannelDiscoveryEnabled: row.appChannelDiscoveryEnabled,
    egressHosts: row.egressHosts,
    nextAppBuildNumber: row.nextBuildNumber,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }
}
