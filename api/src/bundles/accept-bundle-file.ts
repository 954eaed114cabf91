import { buffer } from 'node:stream/consumers'
import { bundleFiles, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { loadReleaseKeys } from '../public-keys/load-release-keys.js'
import { settleUpload } from '../uploads/settle-upload.js'
import type { JoinedUpload, UploadTarget } from '../uploads/upload-target.js'
import { checkSignature } from './check-signature.js'
import { limitChecks } from './limit-checks.js'
import { type Bundle, type BundleFile, bundleObjectFolder, requireBundle } from './queries.js'

export type BundleFilePath = { appId: string; bundleId: string; fileId: string }

/** What a multipart upload of a bundle file fills. */
export async function findBundleFileTarget(ctx: Context, path: BundleFilePath): Promise<UploadTarget> {
  const { bundle, file } = await load(ctx, path)
  return {
    kind: 'bundle-file',
    id: file.id,
    folder: bundleObjectFolder(bundle, file.id),
    maxBytes: file.sizeBytes,
    contentType: 'application/octet-stream',
  }
}

/** Compares the joined bytes with what was declared, then records where they are. Repeating it changes nothing. */
export async function acceptBundleFile(
  ctx: Context,
  path: BundleFilePath,
  { uploadId, target, joined }: { uploadId: string; target: UploadTarget; joined: JoinedUpload },
): Promise<void> {
  const { bundle, file } = await load(ctx, path)
  if (file.objectKey === joined.objectKey) return
  await checkJoined(ctx, path, file, joined)
  await settleUpload(ctx, target, uploadId, async (tx) => {
    const [filled] = await tx
      .update(bundleFiles)
      .set({ objectKey: joined.objectKey, status: 'ready' })
      .where(and(eq(bundleFiles.id, file.id), isNull(bundleFiles.objectKey)))
      .returning({ id: bundleFiles.id })
    if (!filled) return
    await recordAudit(tx, ctx, {
      action: 'bundle-file.uploaded',
      target: { app: path.appId, bundle: bundle.id, file: file.id },
      data: { sha256: file.sha256, sizeBytes: file.sizeBytes, signed: file.signature !== null },
    })
  })
}

async function checkJoined(ctx: Context, path: BundleFilePath, file: BundleFile, joined: JoinedUpload): Promise<void> {
  if (joined.sizeBytes !== file.sizeBytes) {
    throw new Problem(
      'bundle-file-invalid',
      `sizeInBytes: ${joined.sizeBytes} bytes arrived instead of ${file.sizeBytes}. Upload the bundle again.`,
    )
  }
  if (joined.sha256 !== file.sha256) {
    throw new Problem(
      'bundle-file-invalid',
      `checksum: the bytes that arrived hash to ${joined.sha256}. Upload the bundle again.`,
    )
  }
  if (!file.signature) return
  const keys = await loadReleaseKeys(ctx, path.appId)
  if (keys.length === 0) return
  const { signature } = file
  await limitChecks(async () =>
    checkSignature(keys, await buffer((await ctx.objects.get(joined.objectKey)).body), signature),
  )
}

async function load(ctx: Context, path: BundleFilePath): Promise<{ bundle: Bundle; file: BundleFile }> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const bundle = await requireBundle(tx, path.appId, path.bundleId)
    const [file] = await tx
      .select()
      .from(bundleFiles)
      .where(and(eq(bundleFiles.id, path.fileId), eq(bundleFiles.bundleId, bundle.id)))
    if (!file) throw new Problem('not-found', 'This bundle has no such file.')
    return { bundle, file }
  })
}
