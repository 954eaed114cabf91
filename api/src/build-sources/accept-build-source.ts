import { buildSources } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { settleUpload } from '../uploads/settle-upload.js'
import type { JoinedUpload, UploadTarget } from '../uploads/upload-target.js'
import { checkSourceArchive } from './check-source-archive.js'
import { getBuildSource, type SourceParams } from './get-build-source.js'

export type AcceptBuildSource = { uploadId: string; target: UploadTarget; joined: JoinedUpload }

/** Takes the joined upload as the source's content when it is a whole zip archive. */
export async function acceptBuildSource(ctx: Context, params: SourceParams, upload: AcceptBuildSource): Promise<void> {
  requireScope(ctx, 'builds:write')
  const source = await getBuildSource(ctx, params)
  const { objectKey, sizeBytes, sha256 } = upload.joined
  if (source.status === 'ready' && source.sha256 === sha256) return
  if (source.status === 'ready') throw uploadedAlready()
  if (source.fileSizeBytes !== sizeBytes) {
    const sentence = `The source was announced with ${source.fileSizeBytes} bytes but ${sizeBytes} arrived. Upload it again.`
    throw new Problem('upload-incomplete', sentence)
  }
  await checkSourceArchive(ctx.objects, objectKey, sizeBytes)
  await settleUpload(ctx, upload.target, upload.uploadId, async (tx) => {
    const [accepted] = await tx
      .update(buildSources)
      .set({ status: 'ready', sha256, objectKey })
      .where(and(eq(buildSources.id, source.id), eq(buildSources.status, 'pending')))
      .returning({ id: buildSources.id })
    // Another upload of this source was accepted since it was looked at; a build may have it already.
    if (!accepted) throw uploadedAlready()
    await recordAudit(tx, ctx, {
      action: 'build-source.uploaded',
      target: { app: params.appId, 'build-source': source.id },
      data: { sha256, sizeBytes },
    })
  })
}

function uploadedAlready(): Problem {
  return new Problem('build-source-invalid', 'This source is uploaded already; create a new one.')
}
