import type { artifacts } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const Artifact = z
  .object({
    id: Id,
    appBuildId: Id,
    type: z.enum(['apk', 'aab', 'ipa', 'zip']),
    status: z.enum(['pending', 'ready']),
    fileName: z.string(),
    fileMimeType: z.string(),
    fileSizeInBytes: z.number().int(),
    sha256: z.string(),
    createdAt: Timestamp,
  })
  .openapi('AppBuildArtifact')

export function presentArtifact(row: typeof artifacts.$inferSelect): z.infer<typeof Artifact> {
  return {
    id: row.id,
    appBuildId: row.buildId,
    type: row.type,
    status: row.status === 'ready' ? 'ready' : 'pending',
    fileName: row.fileName,
    fileMimeType: row.fileMimeType,
    fileSizeInBytes: row.fileSizeBytes,
    sha256: row.sha256,
    createdAt: row.createdAt.toISOString(),
  }
}
