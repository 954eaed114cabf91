import { createHash } from 'node:crypto'
import { newId, uploadParts, withOrg, type Transaction } from '@capstan/migrations'
import { and, eq, ne, sql } from 'drizzle-orm'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { findUpload } from './find-upload.js'
import type { UploadedPart, UploadTarget } from './upload-target.js'

export type StoreUploadPart = { uploadId: string; partNumber: number; bytes: Uint8Array }

/**
 * Keeps one part. Parts come in any order; one that is sent again replaces the first, and the same bytes again change
 * nothing, also after the upload is complete.
 */
export async function storeUploadPart(
  ctx: Context,
  target: UploadTarget,
  { uploadId, partNumber, bytes }: StoreUploadPart,
): Promise<UploadedPart> {
  if (bytes.byteLength === 0) throw new Problem('upload-part-invalid', `Part ${partNumber} is empty.`)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const part = { uploadId, partNumber, sha256, sizeBytes: bytes.byteLength }
  const before = await withOrg(ctx.db, ctx.orgId, (tx) => admitPart(tx, target, part))
  if (before?.sha256 === sha256) return { partNumber, etag: sha256 }
  const objectKey = `${target.folder}/parts/${uploadId}/${partNumber}-${newId()}`
  await putPart(ctx, objectKey, bytes, sha256)
  const replaced = await withOrg(ctx.db, ctx.orgId, (tx) => record(tx, target, part, objectKey)).catch(
    async (error: unknown) => {
      await deleteDiscarded(ctx.objects, ctx.log, [objectKey])
      throw error
    },
  )
  await deleteDiscarded(ctx.objects, ctx.log, replaced)
  return { partNumber, etag: sha256 }
}

type Candidate = { uploadId: string; partNumber: number; sha256: string; sizeBytes: number }

/** Notes where a part is; answers the objects that nothing refers to from then on. */
async function record(tx: Transaction, target: UploadTarget, part: Candidate, objectKey: string): Promise<string[]> {
  const before = await admitPart(tx, target, part)
  if (before?.sha256 === part.sha256) return [objectKey]
  const row = { ...part, objectKey, orgId: sql`app_org()` }
  await tx
    .insert(uploadParts)
    .values(row)
    .onConflictDoUpdate({ target: [uploadParts.uploadId, uploadParts.partNumber], set: { ...part, objectKey } })
  return before ? [before.objectKey] : []
}

async function admitPart(tx: Transaction, target: UploadTarget, part: Candidate) {
  const upload = await findUpload(tx, target, part.uploadId)
  const [before] = await tx
    .select()
    .from(uploadParts)
    .where(and(eq(uploadParts.uploadId, part.uploadId), eq(uploadParts.partNumber, part.partNumber)))
  if (upload.status === 'completed' && before?.sha256 !== part.sha256) {
    throw new Problem('upload-part-invalid', 'The upload is complete; its content cannot change. Start a new upload.')
  }
  const [others] = await tx
    .select({ bytes: sql<number>`coalesce(sum(${uploadParts.sizeBytes}), 0)`.mapWith(Number) })
    .from(uploadParts)
    .where(and(eq(uploadParts.uploadId, part.uploadId), ne(uploadParts.partNumber, part.partNumber)))
  if ((others?.bytes ?? 0) + part.sizeBytes > target.maxBytes) {
    throw new Problem('request-too-large', `The file may have ${target.maxBytes} bytes; its parts have more.`)
  }
  return before
}

/**
 * A multipart request is never answered with 5xx: the official CLI would repeat it with a body that it has already
 * used up, and hang.
 */
async function putPart(ctx: Context, key: string, bytes: Uint8Array, sha256: string): Promise<void> {
  try {
    await ctx.objects.put(key, bytes, { contentType: 'application/octet-stream', sha256, sizeBytes: bytes.byteLength })
  } catch (error) {
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'upload part was not stored')
    throw new Problem('upload-not-stored', 'The part could not be stored just now. Run the upload again in a moment.')
  }
}
