import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { uploadParts, withOrg } from '@capstan/migrations'
import { asc, eq } from 'drizzle-orm'
import type { Context } from '../context.js'
import { ObjectStoreError, type StoredObject } from '../objects/object-store.js'
import { Problem } from '../problems.js'
import { findUpload } from './find-upload.js'
import type { JoinedUpload, UploadTarget } from './upload-target.js'

export type JoinUpload = { uploadId: string; parts: readonly { partNumber: number; etag?: string | undefined }[] }

type Part = typeof uploadParts.$inferSelect

/**
 * Joins the parts into one object. Its key is made from the hashes of the parts, so joining again, also at the same
 * time, ends with the same object.
 */
export async function joinUpload(ctx: Context, target: UploadTarget, input: JoinUpload): Promise<JoinedUpload> {
  const stored = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await findUpload(tx, target, input.uploadId)
    return tx
      .select()
      .from(uploadParts)
      .where(eq(uploadParts.uploadId, input.uploadId))
      .orderBy(asc(uploadParts.partNumber))
  })
  checkParts(stored, input.parts)
  const sizeBytes = stored.reduce((sum, part) => sum + part.sizeBytes, 0)
  if (sizeBytes > target.maxBytes) {
    throw new Problem('request-too-large', `The file has ${sizeBytes} bytes; ${target.maxBytes} are allowed.`)
  }
  const digest = createHash('sha256')
    .update(stored.map((part) => part.sha256).join('\n'))
    .digest('hex')
  const key = `${target.folder}/${digest}`
  const object = (await ctx.objects.head(key)) ?? (await join(ctx, key, stored, { ...target, sizeBytes }))
  return { objectKey: key, sizeBytes: object.sizeBytes, sha256: object.sha256 }
}

function checkParts(stored: readonly Part[], listed: JoinUpload['parts']): void {
  const etags = new Map(listed.map((part) => [part.partNumber, part.etag]))
  const count = Math.max(0, ...etags.keys(), ...stored.map((part) => part.partNumber))
  if (count === 0) throw new Problem('upload-incomplete', 'No part has been uploaded.')
  const byNumber = new Map(stored.map((part) => [part.partNumber, part]))
  for (let number = 1; number <= count; number += 1) {
    const part = byNumber.get(number)
    const etag = etags.get(number)
    if (!part)
      throw new Problem('upload-incomplete', `Part ${number} of ${count} has not been uploaded. Upload it again.`)
    if (!etags.has(number)) throw new Problem('upload-incomplete', `Part ${number} was uploaded but is not listed.`)
    if (etag !== undefined && etag !== part.sha256) {
      throw new Problem('upload-incomplete', `Part ${number} is not the one that was listed. Upload it again.`)
    }
  }
}

async function join(
  ctx: Context,
  key: string,
  parts: readonly Part[],
  { contentType, sizeBytes }: { contentType: string; sizeBytes: number },
): Promise<StoredObject> {
  try {
    return await ctx.objects.put(key, Readable.from(bytesOf(ctx, parts), { objectMode: false }), {
      contentType,
      sizeBytes,
    })
  } catch (error) {
    const twin =
      error instanceof ObjectStoreError && error.code === 'object-exists' ? await ctx.objects.head(key) : null
    if (twin) return twin
    throw error
  }
}

async function* bytesOf(ctx: Context, parts: readonly Part[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield* (await ctx.objects.get(part.objectKey)).body
}
