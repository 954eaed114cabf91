import { artifacts, withOrg, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { measureObject } from '../objects/measure-object.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import { Problem } from '../problems.js'
import { holdLease } from './hold-lease.js'

type Artifact = typeof artifacts.$inferSelect

/** Reads what was uploaded, hashes it here and compares: the word of a worker about its bytes is not taken. */
export async function finalizeArtifact(ctx: Context, lease: Lease, artifactId: string): Promise<void> {
  const artifact = await withOrg(ctx.db, ctx.orgId, (tx) => findOwn(tx, ctx, lease, artifactId))
  if (artifact.status === 'ready') return
  const found = await measureObject(ctx.objects, artifact.objectKey)
  if (!found) {
    throw new Problem(
      'artifact-not-ready',
      'The bytes of this artifact have not arrived. Upload them, then finalize it.',
    )
  }
  const matches = found.sizeBytes === artifact.fileSizeBytes && found.sha256 === artifact.sha256
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const { status } = await findOwn(tx, ctx, lease, artifactId)
    if (status === 'ready') return
    await tx
      .update(artifacts)
      .set({ status: matches ? 'ready' : 'discarded' })
      .where(eq(artifacts.id, artifactId))
    if (!matches) await noteDiscarded(tx, ctx.orgId, [artifact.objectKey])
    await recordAudit(tx, ctx, {
      action: matches ? 'artifact.stored' : 'artifact.refused',
      outcome: matches ? 'success' : 'refused',
      target: { app: artifact.appId, build: artifact.buildId, artifact: artifactId },
      data: { type: artifact.type, attempt: lease.attempt, ...found },
    })
  })
  if (matches) return
  await deleteDiscarded(ctx.objects, ctx.log, [artifact.objectKey])
  const declared = `${artifact.fileSizeBytes} bytes with SHA-256 ${artifact.sha256}`
  throw new Problem(
    'artifact-mismatch',
    `Declared were ${declared}; ${found.sizeBytes} bytes with ${found.sha256} arrived. Declare and upload it again.`,
  )
}

async function findOwn(tx: Transaction, ctx: Context, lease: Lease, artifactId: string): Promise<Artifact> {
  await holdLease(tx, ctx, lease)
  const own = and(eq(artifacts.buildId, lease.buildId), eq(artifacts.attempt, lease.attempt))
  const [artifact] = await tx
    .select()
    .from(artifacts)
    .where(and(eq(artifacts.id, artifactId), own))
  if (!artifact || artifact.status === 'discarded') throw new Problem('not-found')
  return artifact
}
