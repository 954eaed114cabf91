import { uploads, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { Problem } from '../problems.js'
import type { UploadTarget } from './upload-target.js'

/** The upload of exactly this target, locked until the transaction ends. */
export async function findUpload(
  tx: Transaction,
  target: UploadTarget,
  uploadId: string,
): Promise<typeof uploads.$inferSelect> {
  const [upload] = await tx
    .select()
    .from(uploads)
    .where(and(eq(uploads.id, uploadId), eq(uploads.targetKind, target.kind), eq(uploads.targetId, target.id)))
    .for('update')
  if (!upload) throw new Problem('upload-not-found', 'There is no such upload for this file. Start the upload again.')
  return upload
}
