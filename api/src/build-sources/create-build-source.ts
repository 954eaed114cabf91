import { buildSources, newId, withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export const MAX_SOURCE_BYTES = 1024 ** 3

export type CreateBuildSource = {
  appId: string
  fileSizeInBytes?: number | undefined
  fileUrl?: string | undefined
}

/** Announces a source; its bytes follow as a multipart upload. */
export async function createBuildSource(
  ctx: Context,
  { appId, fileSizeInBytes, fileUrl }: CreateBuildSource,
): Promise<typeof buildSources.$inferSelect> {
  requireScope(ctx, 'builds:write')
  if (fileUrl !== undefined) {
    throw new Problem(
      'build-source-invalid',
      'Sources from a URL are not supported yet. Upload a folder or zip with --path.',
    )
  }
  if (fileSizeInBytes === undefined) {
    throw new Problem('build-source-invalid', 'fileSizeInBytes: say how large the source is, then upload it.')
  }
  if (fileSizeInBytes > MAX_SOURCE_BYTES) {
    throw new Problem(
      'request-too-large',
      `A source may have ${MAX_SOURCE_BYTES} bytes; this one has ${fileSizeInBytes}.`,
    )
  }
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [source] = await tx
      .insert(buildSources)
      .values({
        id: newId(),
        orgId: ctx.orgId,
        appId,
        type: 'archive',
        fileSizeBytes: fileSizeInBytes,
        createdBy: ctx.actor.id,
      })
      .returning()
    if (!source) throw new Error('The build source was not inserted.')
    await recordAudit(tx, ctx, { action: 'build-source.created', target: { app: appId, 'build-source': source.id } })
    return source
  })
}
