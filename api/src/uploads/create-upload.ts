import { randomBytes } from 'node:crypto'
import { uploads, withOrg } from '@capstan/migrations'
import type { Context } from '../context.js'
import type { UploadTarget } from './upload-target.js'

const ID_BYTES = 24

/** Opens a multipart upload. The id is URL-safe because the official CLI puts it into URLs without escaping. */
export async function createUpload(ctx: Context, target: UploadTarget): Promise<{ uploadId: string }> {
  const uploadId = randomBytes(ID_BYTES).toString('base64url')
  await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx.insert(uploads).values({ id: uploadId, orgId: ctx.orgId, targetKind: target.kind, targetId: target.id }),
  )
  return { uploadId }
}
