import { apps, artifacts, builds, buildShares, findOrgOf, withOrg } from '@capstan/migrations'
import { and, asc, eq, gt } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'

export type OpenShare = {
  id: string
  orgId: string
  appName: string
  build: typeof builds.$inferSelect
  description: string | null
  expiresAt: Date | null
  files: (typeof artifacts.$inferSelect)[]
}

/** What a link shows: nobody is signed in, the random id is what they have. Expired, deleted and unknown are one answer. */
export async function openShare(deps: Deps, shareId: string): Promise<OpenShare> {
  const orgId = await findOrgOf(deps.db, 'buildShare', shareId)
  const found = orgId === null ? null : await load(deps, orgId, shareId)
  if (!found) throw new Problem('share-not-found', 'This link does not work any more. Ask for a new one.')
  return found
}

function load(deps: Deps, orgId: string, shareId: string): Promise<OpenShare | null> {
  return withOrg(deps.db, orgId, async (tx) => {
    const [row] = await tx
      .select({ share: buildShares, build: builds, appName: apps.name })
      .from(buildShares)
      .innerJoin(builds, eq(builds.id, buildShares.buildId))
      .innerJoin(apps, eq(apps.id, builds.appId))
      .where(and(eq(buildShares.id, shareId), gt(buildShares.expiresAt, deps.now())))
    if (!row) return null
    const files = await tx
      .select()
      .from(artifacts)
      .where(and(eq(artifacts.buildId, row.build.id), eq(artifacts.status, 'ready')))
      .orderBy(asc(artifacts.id))
    const { id, description, expiresAt } = row.share
    return { id, orgId, description, expiresAt, files, build: row.build, appName: row.appName }
  })
}
