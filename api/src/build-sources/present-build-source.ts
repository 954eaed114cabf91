import type { buildSources } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const BuildSource = z
  .object({
    id: Id,
    appId: Id,
    type: z.enum(['archive', 'git', 'url']),
    status: z.enum(['pending', 'ready']),
    fileSizeInBytes: z.number().int().nullable(),
    fileUrl: z.string().nullable(),
    createdAt: Timestamp,
  })
  .openapi('BuildSource')

export function presentBuildSource(row: typeof buildSources.$inferSelect): z.infer<typeof BuildSource> {
  return {
    id: row.id,
    appId: row.appId,
    type: row.type,
    status: row.status,
    fileSizeInBytes: row.fileSizeBytes,
    fileUrl: row.remoteUrl === null ? null : withoutQuery(row.remoteUrl),
    createdAt: row.createdAt.toISOString(),
  }
}

/** The query of an address may be what gives access to it. */
function withoutQuery(address: string): string {
  const url = new URL(address)
  url.search = ''
  return url.href
}
