import { builds, buildSources, gitConnections, jobs, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { shredKeys } from '../sealed-values/shred-keys.js'
import { findConnection } from './find-connection.js'

/** Deletes a connection; its credential opens no more, in backups of the database either. Links of apps stay without it. */
export async function deleteConnection(ctx: Context, connectionId: string): Promise<void> {
  requireScope(ctx, 'git-connections:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const { id, name } = await findConnection(tx, connectionId, { lock: true })
    await refuseWhileUsed(tx, id)
    await shredKeys(ctx, { kind: 'git-connection', id })
    await tx.delete(gitConnections).where(eq(gitConnections.id, id))
    await recordAudit(tx, ctx, {
      action: 'git_connection.deleted',
      target: { 'git-connection': id },
      personal: { name },
    })
  })
}

async function refuseWhileUsed(tx: Transaction, connectionId: string): Promise<void> {
  const [waiting] = await tx
    .select({ number: builds.number })
    .from(builds)
    .innerJoin(jobs, eq(jobs.buildId, builds.id))
    .innerJoin(buildSources, eq(buildSources.id, builds.buildSourceId))
    .where(and(eq(buildSources.gitConnectionId, connectionId), isNull(jobs.finishedAt)))
    .limit(1)
  if (waiting === undefined) return
  throw new Problem(
    'git-connection-in-use',
    `Build ${waiting.number} is not finished and fetches its source with this connection. Wait for it, or cancel it.`,
  )
}
