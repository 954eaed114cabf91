import { withOrg } from '@capstan/migrations'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { type BuildParams, findBuild } from './find-build.js'
import { loadBuilds } from './load-builds.js'
import type { LoadedBuild } from './present-build.js'

export async function getBuild(
  ctx: Context,
  params: BuildParams,
  relations: ReadonlySet<string>,
): Promise<LoadedBuild> {
  requireScope(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [loaded] = await loadBuilds(tx, [await findBuild(tx, params)], relations)
    if (!loaded) throw new Problem('not-found')
    return loaded
  })
}
