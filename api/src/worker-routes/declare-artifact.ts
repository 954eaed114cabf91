import { artifacts, builds, newId, withOrg, type Transaction } from '@capstan/migrations'
import type { ArtifactDeclaration, ArtifactUpload } from '@capstan/migrations/messages'
import { and, eq } from 'drizzle-orm'
import { appObjectPrefix } from '../apps/delete-app.js'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { holdLease } from './hold-lease.js'

const MAX_ARTIFACT_BYTES = 2 * 1024 ** 3
const UPLOAD_URL_SECONDS = 60 * 60

/**
 * Notes what the worker wants to store and answers where. The key names the attempt, so what a lost attempt still
 * uploads never mixes with the next one's. The same declaration again is the same artefact.
 */
export async function declareArtifact(
  ctx: Context,
  lease: Lease,
  declaration: ArtifactDeclaration,
): Promise<ArtifactUpload> {
  const { sizeBytes, sha256, packageName } = declaration
  if (sizeBytes > MAX_ARTIFACT_BYTES) {
    throw new Problem(
      'request-too-large',
      `An artifact may have ${MAX_ARTIFACT_BYTES} bytes; this one has ${sizeBytes}.`,
    )
  }
  const artifact = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const job = await holdLease(tx, ctx, lease)
    if (packageName) await tx.update(builds).set({ packageName }).where(eq(builds.id, lease.buildId))
    return (
      (await findDeclared(tx, lease, declaration)) ??
      insertArtifact(tx, ctx, { ...lease, appId: job.appId }, declaration)
    )
  })
  const uploadUrl = await ctx.objects.signedPutUrl(artifact.objectKey, {
    expiresInSeconds: UPLOAD_URL_SECONDS,
    contentType: 'application/octet-stream',
    maxBytes: sizeBytes,
    sha256,
  })
  return { artifactId: artifact.id, uploadUrl }
}

async function findDeclared(tx: Transaction, lease: Lease, { type, fileName, sha256 }: ArtifactDeclaration) {
  const rows = await tx
    .select({ id: artifacts.id, objectKey: artifacts.objectKey, status: artifacts.status })
    .from(artifacts)
    .where(
      and(
        eq(artifacts.buildId, lease.buildId),
        eq(artifacts.attempt, lease.attempt),
        eq(artifacts.type, type),
        eq(artifacts.fileName, fileName),
        eq(artifacts.sha256, sha256),
      ),
    )
  return rows.find((row) => row.status !== 'discarded')
}

async function insertArtifact(
  tx: Transaction,
  ctx: Context,
  lease: Lease & { appId: string },
  declaration: ArtifactDeclaration,
): Promise<{ id: string; objectKey: string }> {
  const id = newId()
  const folder = `${appObjectPrefix(ctx.orgId, lease.appId)}builds/${lease.buildId}`
  const objectKey = `${folder}/${lease.attempt}/${id}`
  await tx.insert(artifacts).values({
    id,
    orgId: ctx.orgId,
    appId: lease.appId,
    buildId: lease.buildId,
    attempt: lease.attempt,
    type: declaration.type,
    fileName: declaration.fileName,
    fileMimeType: declaration.mimeType,
    fileSizeBytes: declaration.sizeBytes,
    sha256: declaration.sha256,
    objectKey,
  })
  return { id, objectKey }
}
