import { appRepositories, type Transaction, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import type { Repository } from './link-repository.js'

export async function findRepository(tx: Transaction, appId: string): Promise<Repository | null> {
  const [found] = await tx.select().from(appRepositories).where(eq(appRepositories.appId, appId))
  return found ?? null
}

export async function getRepository(ctx: Context, appId: string): Promise<Repository> {
  requireScope(ctx, 'apps:read')
  const found = await withOrg(ctx.db, ctx.orgId, (tx) => findRepository(tx, appId))
  if (!found) throw new Problem('not-found', 'The app is not linked to a repository.')
  return found
}
