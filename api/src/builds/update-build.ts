import { builds, withOrg } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { type BuildParams, findBuild } from './find-build.js'
import { loadBuilds } from './load-builds.js'
import { constraintNames, type LoadedBuild } from './present-build.js'

type Constraints = { [name in (typeof constraintNames)[number]]?: string | null | undefined }

export type UpdateBuild = BuildParams &
  Constraints & {
    customProperties?: Record<string, string> | undefined
    displayName?: string | null | undefined
  }

/** Absent keys stay as they are, `null` clears. */
export async function updateBuild(ctx: Context, input: UpdateBuild): Promise<LoadedBuild> {
  requireScope(ctx, 'builds:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const before = await findBuild(tx, input)
    const [build] = await tx
      .update(builds)
      .set({
        constraints: mergeConstraints(before.constraints, input),
        ...(input.customProperties === undefined ? {} : { customProperties: input.customProperties }),
        ...(input.displayName === undefined ? {} : { displayName: input.displayName }),
        updatedAt: sql`now()`,
      })
      .where(eq(builds.id, before.id))
      .returning()
    if (!build) throw new Problem('not-found')
    await recordAudit(tx, ctx, { action: 'build.updated', target: { app: build.appId, build: build.id } })
    const [loaded] = await loadBuilds(tx, [build], new Set())
    if (!loaded) throw new Problem('not-found')
    return loaded
  })
}

function mergeConstraints(before: Record<string, string>, changes: Constraints): Record<string, string> {
  const merged = { ...before }
  for (const name of constraintNames) {
    const value = changes[name]
    if (value === null) delete merged[name]
    else if (value !== undefined) merged[name] = value
  }
  return merged
}
