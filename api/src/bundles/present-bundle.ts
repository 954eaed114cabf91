import type { bundles } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const Bundle = z
  .object({
    id: Id,
    appId: Id,
    appBuildId: Id,
    appDeploymentId: Id.nullable(),
    artifactType: z.enum(['zip', 'manifest']),
    artifactStatus: z.enum(['pending', 'ready', 'failed']),
    channelName: z.string().nullable(),
    checksum: z.string().nullable(),
    signature: z.string().nullable(),
    url: z.string().nullable(),
    rolloutPercentage: z.number(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  })
  .openapi('Bundle')

export function presentBundle(
  row: typeof bundles.$inferSelect,
  appDeploymentId: string | null,
): z.infer<typeof Bundle> {
  return {
    id: row.id,
    appId: row.appId,
    appBuildId: row.buildId,
    appDeploymentId,
    artifactType: row.artifactType,
    artifactStatus: row.status,
    channelName: row.channelName,
    checksum: row.checksum,
    signature: row.signature,
    url: row.url,
    rolloutPercentage: row.rolloutPercentage,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }
}
