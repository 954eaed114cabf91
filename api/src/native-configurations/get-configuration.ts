import { withOrg } from '@capstan/migrations'
import { type Context, requireScope } from '../context.js'
import { type Configuration, findConfiguration } from './find-configuration.js'

export type ConfigurationParams = { appId: string; configurationId: string }

export async function getConfiguration(
  ctx: Context,
  { appId, configurationId: id }: ConfigurationParams,
): Promise<Configuration> {
  requireScope(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, (tx) => findConfiguration(tx, appId, { id }))
}
