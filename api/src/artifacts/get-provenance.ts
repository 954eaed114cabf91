import { artifactProvenance, artifacts, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import type { BuildParams } from '../builds/find-build.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { SealError } from '../vault/seal-client.js'
import { requireReadyArtifact } from './require-ready-artifact.js'

/** The signed statement of where an artefact comes from; made now where the broker was away when the build ended. */
export async function getProvenance(
  ctx: Context,
  params: BuildParams & { artifactId: string },
): Promise<Record<string, unknown>> {
  requireScope(ctx, 'builds:read')
  const { id } = await requireReadyArtifact(ctx, params)
  const [stored] = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({ envelope: artifactProvenance.envelope })
      .from(artifactProvenance)
      .where(eq(artifactProvenance.artifactId, id)),
  )
  const envelope = stored?.envelope ?? (await sign(ctx, id))
  if (envelope) return envelope
  throw new Problem('provenance-unavailable', 'The build has not ended, or this platform signs no provenance.')
}

async function sign(ctx: Context, artifact: string): Promise<Record<string, unknown> | null> {
  try {
    return await ctx.seal.signProvenance({ org: ctx.orgId, artifact })
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    throw new Problem('provenance-unavailable', 'The statement cannot be signed just now. Try again in a moment.')
  }
}

/** After a build has succeeded. A broker that is away holds up nothing: the statement is made when it is asked for. */
export async function signProvenances(ctx: Context, buildId: string): Promise<void> {
  const ready = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({ id: artifacts.id })
      .from(artifacts)
      .where(and(eq(artifacts.buildId, buildId), eq(artifacts.status, 'ready'))),
  )
  for (const { id } of ready) {
    await ctx.seal.signProvenance({ org: ctx.orgId, artifact: id }).catch((error: unknown) => {
      ctx.log.warn({ err: error, buildId }, 'provenance was not signed; it is made when it is asked for')
    })
  }
}
