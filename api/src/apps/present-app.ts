import type { apps } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const appTypes = ['android', 'capacitor', 'cordova', 'ios'] as const

export const BundleId = z.string().regex(/^[A-Za-z0-9.-]{1,155}$/, 'has letters, digits, dots and hyphens')

export const App = z
  .object({
    id: Id,
    organizationId: Id,
    name: z.string(),
    type: z.enum(appTypes),
    appChannelId: Id.nullable(),
    appEnvironmentId: Id.nullable(),
    appChannelDiscoveryEnabled: z.boolean(),
    staticDeliveryEnabled: z.boolean(),
    egressHosts: z.array(z.string()),
    nextAppBuildNumber: z.number().int(),
    /** What provisioning profiles of the app must be for; null: anything. */
    iosBundleId: z.string().nullable(),
    /** Whether signed builds use a cache of dependencies that only signed builds write. */
    releaseCacheEnabled: z.boolean(),
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
    staticDeliveryEnabled: row.staticDeliveryEnabled,
    egressHosts: row.egressHosts,
    nextAppBuildNumber: row.nextBuildNumber,
    iosBundleId: row.iosBundleId,
    releaseCacheEnabled: row.releaseCache,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }
}
