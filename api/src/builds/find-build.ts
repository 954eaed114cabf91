import { builds, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { Problem } from '../problems.js'

export type BuildParams = { appId: string; buildId: string }

export async function findBuild(tx: Transaction, { appId, buildId }: BuildParams): Promise<typeof builds.$inferSelect> {
  const [build] = await tx
    .select()
    .from(builds)
    .where(and(eq(builds.id, buildId), eq(builds.appId, appId)))
  if (!build) throw new Problem('not-found')
  return build
}
