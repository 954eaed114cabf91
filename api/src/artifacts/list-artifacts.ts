import { artifacts, withOrg } from '@capstan/migrations'
import { and, asc, eq, ne } from 'drizzle-orm'
import { findBuild, type BuildParams } from '../builds/find-build.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export type ArtifactParams = BuildParams & { artifactId: string }
type Artifact = typeof artifacts.$inferSelect

export async function listArtifacts(ctx: Context, params: BuildParams): Promise<Artifact[]> {
  requireScope(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const build = await findBuild(tx, params)
    return tx
      .select()
      .from(artifacts)
      .where(and(eq(artifacts.buildId, build.id), ne(artifacts.status, 'discarded')))
      .orderBy(asc(artifacts.id))
  })
}

/** An artefact whose bytes are stored and compared. */
export async function requireReadyArtifact(ctx: Context, params: ArtifactParams): Promise<Artifact> {
  const found = (await listArtifacts(ctx, params)).find((artifact) => artifact.id === params.artifactId)
  if (!found) throw new Problem('not-found')
  if (found.status !== 'ready') {
    throw new Problem('artifact-not-ready', 'This artifact is still being uploaded. Wait until the build has finished.')
  }
  return found
}
