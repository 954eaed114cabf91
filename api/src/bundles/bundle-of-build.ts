import { buffer } from 'node:stream/consumers'
import { artifacts, builds, bundleFiles, bundles, jobs, newId, withOrg, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Context } from '../context.js'
import { asProblem } from '../objects/object-problem.js'
import { Problem } from '../problems.js'
import { checkArchive } from './check-archive.js'
import { limitChecks } from './limit-checks.js'
import type { Bundle } from './queries.js'

type BuildKey = { appId: string; buildId: string }
type Artifact = typeof artifacts.$inferSelect

/** The bundle of a web build: what was uploaded, or else a worker's output, made a bundle when it is first asked for. */
export async function bundleOfBuild(ctx: Context, key: BuildKey): Promise<Bundle> {
  const known = await withOrg(ctx.db, ctx.orgId, (tx) => findBundle(tx, key))
  if (known) return known
  const output = await withOrg(ctx.db, ctx.orgId, (tx) => requireOutput(tx, key))
  await limitChecks(async () => {
    const { body } = await ctx.objects.get(output.objectKey).catch(asProblem)
    await checkArchive(await buffer(body))
  })
  return withOrg(ctx.db, ctx.orgId, (tx) => adopt(tx, ctx, key, output))
}

async function findBundle(tx: Transaction, { appId, buildId }: BuildKey): Promise<Bundle | null> {
  const [bundle] = await tx
    .select()
    .from(bundles)
    .where(and(eq(bundles.appId, appId), eq(bundles.buildId, buildId)))
  return bundle ?? null
}

async function requireOutput(tx: Transaction, { appId, buildId }: BuildKey): Promise<Artifact> {
  const [build] = await tx
    .select({ platform: builds.platform, status: jobs.status })
    .from(builds)
    .leftJoin(jobs, eq(jobs.buildId, builds.id))
    .where(and(eq(builds.appId, appId), eq(builds.id, buildId)))
  if (!build) throw new Problem('not-found', 'This app has no such build.')
  if (build.platform !== 'web') {
    throw new Problem(
      'bundle-not-ready',
      'Channels take live updates: build the app for platform "web", or upload a bundle.',
    )
  }
  const [output] = await tx
    .select()
    .from(artifacts)
    .where(and(eq(artifacts.buildId, buildId), eq(artifacts.type, 'zip'), eq(artifacts.status, 'ready')))
  if (!output || build.status !== 'succeeded') {
    throw new Problem('bundle-not-ready', 'The build has no finished output. Wait until it has succeeded.')
  }
  return output
}

/** The bundle shares the stored object of the artifact; its content can change no more than that. */
async function adopt(tx: Transaction, ctx: Context, { appId, buildId }: BuildKey, output: Artifact): Promise<Bundle> {
  // Locked: an output that expires meanwhile is found out here, one that expires later is known to be served.
  const [still] = await tx
    .select({ id: artifacts.id })
    .from(artifacts)
    .where(and(eq(artifacts.id, output.id), eq(artifacts.status, 'ready')))
    .for('update')
  if (!still) throw new Problem('bundle-not-ready', 'The output of this build has expired. Build again.')
  const fileId = newId()
  const [bundle] = await tx
    .insert(bundles)
    .values({
      id: newId(),
      orgId: ctx.orgId,
      appId,
      buildId,
      artifactType: 'zip',
      status: 'ready',
      readyAt: ctx.now(),
      fileId,
      checksum: output.sha256,
      createdBy: ctx.actor.id,
    })
    .onConflictDoNothing()
    .returning()
  if (!bundle) {
    const other = await findBundle(tx, { appId, buildId })
    if (!other) throw new Error('A bundle conflicts with one that is not there.')
    return other
  }
  await tx.insert(bundleFiles).values({
    id: fileId,
    orgId: ctx.orgId,
    bundleId: bundle.id,
    name: output.fileName,
    mimeType: output.fileMimeType,
    sizeBytes: output.fileSizeBytes,
    sha256: output.sha256,
    objectKey: output.objectKey,
    status: 'ready',
  })
  await recordAudit(tx, ctx, {
    action: 'bundle.created',
    target: { app: appId, build: buildId, bundle: bundle.id },
    data: { artifactType: 'zip', sha256: output.sha256 },
  })
  return bundle
}
