import type { channels, deployments } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'
import { Deployment, presentDeployment } from '../deployments/present-deployment.js'

export const Channel = z
  .object({
    id: Id,
    appId: Id,
    name: z.string(),
    appDeploymentId: Id.nullable(),
    expiresAt: Timestamp.nullable(),
    pausedAt: Timestamp.nullable(),
    protectedAt: Timestamp.nullable(),
    totalAppDeployments: z.number().int(),
    totalAppDevices: z.number().int(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    appDeployment: Deployment.nullable().optional(),
  })
  .openapi('Channel')

export type CountedChannel = typeof channels.$inferSelect & { totalAppDeployments: number; totalAppDevices: number }

/** `appDeployment` stands in the answer only when it was asked for. */
export function presentChannel(
  row: CountedChannel,
  appDeployment?: typeof deployments.$inferSelect | null,
): z.infer<typeof Channel> {
  return {
    id: row.id,
    appId: row.appId,
    name: row.name,
    appDeploymentId: row.appDeploymentId,
    expiresAt: row.expiresAt?.toISOString() ?? null,
    pausedAt: row.pausedAt?.toISOString() ?? null,
    protectedAt: row.protectedAt?.toISOString() ?? null,
    totalAppDeployments: row.totalAppDeployments,
    totalAppDevices: row.totalAppDevices,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    ...(appDeployment === undefined
      ? {}
      : { appDeployment: appDeployment && presentDeployment(appDeployment, { appChannelName: row.name }) }),
  }
}
