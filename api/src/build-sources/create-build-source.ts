import { buildSources, newId, withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { checkRemoteUrl } from '../repositories/check-remote-url.js'

export const MAX_SOURCE_BYTES = 1024 ** 3

export type CreateBuildSource = {
  appId: string
  fileSizeInBytes?: number | undefined
  fileUrl?: string | undefined
  sha256?: string | undefined
}

type BuildSource = typeof buildSources.$inferSelect
type SourceValues = Omit<typeof buildSources.$inferInsert, 'id' | 'orgId' | 'appId'>

/** Announces a source whose bytes follow as a multipart upload, or names the address that the build fetches it from. */
export async function createBuildSource(ctx: Context, input: CreateBuildSource): Promise<BuildSource> {
  requireScope(ctx, 'builds:write')
  const { appId } = input
  const values = input.fileUrl === undefined ? announced(input) : remote(ctx, input.fileUrl, input.sha256)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [source] = await tx
      .insert(buildSources)
      .values({ ...values, id: newId(), orgId: ctx.orgId, appId, createdBy: ctx.actor.id })
      .returning()
    if (!source) throw new Error('The build source was not inserted.')
    await recordAudit(tx, ctx, {
      action: 'build-source.created',
      target: { app: appId, 'build-source': source.id },
      data: { type: source.type },
      personal: { host: source.remoteUrl ? new URL(source.remoteUrl).host : null },
    })
    return source
  })
}

function remote(ctx: Context, fileUrl: string, sha256: string | undefined): SourceValues {
  const url = checkRemoteUrl(fileUrl, { protocols: ['https:'], privateHosts: ctx.sourcePrivateHosts })
  return { type: 'url', status: 'ready', remoteUrl: url.href, sha256: sha256 ?? null }
}

function announced({ fileSizeInBytes }: CreateBuildSource): SourceValues {
  if (fileSizeInBytes === undefined) {
    throw new Problem('build-source-invalid', 'fileSizeInBytes: say how large the source is, then upload it.')
  }
  if (fileSizeInBytes > MAX_SOURCE_BYTES) {
    throw new Problem(
      'request-too-large',
      `A source may have ${MAX_SOURCE_BYTES} bytes; this one has ${fileSizeInBytes}.`,
    )
  }
  return { type: 'archive', fileSizeBytes: fileSizeInBytes }
}
