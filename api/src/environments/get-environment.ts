import { withOrg } from '@capstan/migrations'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { findEnvironment } from './find-environment.js'
import { loadEnvironments } from './load-environments.js'
import type { LoadedEnvironment } from './present-environment.js'

export type EnvironmentParams = { appId: string; environmentId: string }

export async function getEnvironment(
  ctx: Context,
  { appId, environmentId }: EnvironmentParams,
  relations: ReadonlySet<string>,
): Promise<LoadedEnvironment> {
  requireScope(ctx, 'environments:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [loaded] = await loadEnvironments(tx, [await findEnvironment(tx, appId, { id: environmentId })], relations)
    if (!loaded) throw new Problem('not-found')
    return loaded
  })
}
