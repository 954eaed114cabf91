import { appRoots, withOrg } from '@capstan/migrations'
import { and, asc, eq, gt } from 'drizzle-orm'
import type { Context } from '../context.js'
import type { AppRoot } from './queries.js'

/** Oldest first, those after a version. Anyone may read them: they are what devices are told. */
export async function listRoots(ctx: Context, { appId, after }: { appId: string; after: number }): Promise<AppRoot[]> {
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(appRoots)
      .where(and(eq(appRoots.appId, appId), gt(appRoots.version, after)))
      .orderBy(asc(appRoots.version)),
  )
}
