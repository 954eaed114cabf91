import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'
import type { Configuration as Row } from './find-configuration.js'

export const Configuration = z
  .object({
    id: Id,
    appId: Id,
    name: z.string(),
    displayName: z.string().nullable(),
    packageName: z.string().nullable(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    createdBy: Id.nullable(),
    updatedBy: Id.nullable(),
  })
  .openapi('AppConfiguration')

export function presentConfiguration(row: Row): z.infer<typeof Configuration> {
  return {
    id: row.id,
    appId: row.appId,
    name: row.name,
    displayName: row.displayName,
    packageName: row.packageName,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    createdBy: row.createdBy,
    updatedBy: row.updatedBy,
  }
}
