import { randomUUID } from 'node:crypto'
import { artifacts, buildShares, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type BuildParams, findBuild } from '../builds/find-build.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

const DAY_MS = 24 * 60 * 60_000
const DEFAULT_DAYS = 30
const MAX_DAYS = 365

export type Share = typeof buildShares.$inferSelect
export type CreateShare = BuildParams & {
  description?: string | null | undefined
  expiresAt?: string | null | undefined
}

/** A page with the files of a build for whoever has its link. The id is all random: it is what gives access. */
export async function createShare(ctx: Context, input: CreateShare): Promise<Share> {
  requireScope(ctx, 'builds:write')
  const now = ctx.now().getTime()
  const expiresAt = input.expiresAt ? new Date(input.expiresAt) : new Date(now + DEFAULT_DAYS * DAY_MS)
  if (expiresAt.getTime() <= now || expiresAt.getTime() > now + MAX_DAYS * DAY_MS) {
    throw new Problem('share-expiry-invalid', `expiresAt: name a moment within the next ${MAX_DAYS} days.`)
  }
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const build = await findBuild(tx, input)
    const ready = and(eq(artifacts.buildId, build.id), eq(artifacts.status, 'ready'))
    if ((await tx.$count(artifacts, ready)) === 0) {
      throw new Problem('artifact-not-ready', 'The build has no files to share. Wait until it has succeeded.')
    }
    const [share] = await tx
      .insert(buildShares)
      .values({
        id: randomUUID(),
        orgId: ctx.orgId,
        appId: input.appId,
        buildId: build.id,
        description: input.description ?? null,
        expiresAt,
        createdBy: ctx.actor.id,
      })
      .returning()
    if (!share) throw new Error('The share was not inserted.')
    // The id opens the page, so it stays out of the log.
    await recordAudit(tx, ctx, {
      action: 'build.shared',
      target: { app: input.appId, build: build.id },
      data: { expiresAt: expiresAt.toISOString() },
    })
    return share
  })
}
