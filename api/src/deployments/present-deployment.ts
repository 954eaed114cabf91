import type { builds, deployments } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

const DeployedBuild = z.object({
  id: Id,
  appId: Id,
  numberAsString: z.string(),
  platform: z.enum(['android', 'ios', 'web']),
  type: z.string().nullable(),
  displayName: z.string().nullable(),
  customProperties: z.record(z.string(), z.string()),
  createdAt: Timestamp,
})

const DeploymentJob = z.object({
  id: Id,
  status: z.literal('succeeded'),
  createdAt: Timestamp,
  finishedAt: Timestamp,
  jobLogs: z.array(z.object({ number: z.number().int(), payload: z.string() })),
})

export const Deployment = z
  .object({
    id: Id,
    appId: Id,
    appBuildId: Id,
    appChannelId: Id.nullable(),
    appChannelName: z.string().nullable().optional(),
    appDestinationId: Id.nullable(),
    jobId: Id.nullable(),
    rolloutPercentage: z.number(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    appBuild: DeployedBuild.optional(),
    job: DeploymentJob.optional(),
  })
  .openapi('Deployment')

export type DeploymentRelations = {
  appChannelName?: string
  appBuild?: typeof builds.$inferSelect | undefined
  withJob?: boolean
}

export function presentDeployment(
  row: typeof deployments.$inferSelect,
  relations: DeploymentRelations = {},
): z.infer<typeof Deployment> {
  const { appChannelName, appBuild, withJob } = relations
  return {
    id: row.id,
    appId: row.appId,
    appBuildId: row.appBuildId,
    appChannelId: row.appChannelId,
    ...(appChannelName === undefined ? {} : { appChannelName }),
    appDestinationId: null,
    jobId: null,
    rolloutPercentage: row.rolloutPercentage,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    ...(appBuild ? { appBuild: presentBuild(appBuild) } : {}),
    ...(withJob ? { job: finishedJob(row) } : {}),
  }
}

function presentBuild(row: typeof builds.$inferSelect): z.infer<typeof DeployedBuild> {
  return {
    id: row.id,
    appId: row.appId,
    numberAsString: String(row.number),
    platform: row.platform,
    type: row.type,
    displayName: row.displayName,
    customProperties: row.customProperties,
    createdAt: row.createdAt.toISOString(),
  }
}

/** A live-update deployment is done when it is written; the CLI follows logs until it reads a job that has finished. */
function finishedJob(row: typeof deployments.$inferSelect): z.infer<typeof DeploymentJob> {
  const at = row.createdAt.toISOString()
  return { id: row.id, status: 'succeeded', createdAt: at, finishedAt: at, jobLogs: [] }
}
