import { uploadParts, uploads, withOrg, type Transaction } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import type { Context } from '../context.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import { findUpload } from './find-upload.js'
import type { UploadTarget } from './upload-target.js'

/**
 * Marks the upload complete in the transaction in which `settle` writes the result to its target, then removes the
 * parts. The first call alone settles; later ones change nothing.
 */
export async function settleUpload(
  ctx: Context,
  target: UploadTarget,
  uploadId: string,
  settle: (tx: Transaction) => Promise<void>,
): Promise<void> {
  const parts = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const upload = await findUpload(tx, target, uploadId)
    if (upload.status === 'completed') return []
    await tx
      .update(uploads)
      .set({ status: 'completed', completedAt: sql`now()` })
      .where(eq(uploads.id, uploadId))
    await settle(tx)
    const parts = await tx
      .select({ key: uploadParts.objectKey })
      .from(uploadParts)
      .where(eq(uploadParts.uploadId, uploadId))
    const keys = parts.map(({ key }) => key)
    await noteDiscarded(tx, ctx.orgId, keys)
    return keys
  })
  await deleteDiscarded(ctx.objects, ctx.log, parts)
}
