import {
  bundles,
  deployments,
  deviceTokens,
  launchCounts,
  launchResults,
  type LaunchOutcome,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { randomInt } from 'node:crypto'
import { and, desc, eq, inArray, lt, sql } from 'drizzle-orm'
import type { Context } from '../context.js'
import { limitRate } from '../limit-rate.js'
import { Problem } from '../problems.js'

/** Rows that the reports of one hour are spread over. */
const SHARDS = 8
const HOUR_MS = 60 * 60_000

type LaunchReport = { bundleId: string; deploymentId?: string | undefined; outcome: LaunchOutcome }
export type RecordLaunches = { appId: string; results: readonly LaunchReport[] }

const admit = limitRate({ burst: 10, perSecond: 0.1 })

/**
 * Counts how bundles started on the device that reports. A device counts once for a bundle, by its first report;
 * what this app never deployed is ignored.
 */
export async function recordLaunches(ctx: Context, input: RecordLaunches): Promise<{ counted: number }> {
  const deviceId = ctx.actor.id
  if (!admit(`${input.appId} ${deviceId}`, ctx.now())) {
    throw new Problem('too-many-requests', 'This device reports too often. Collect reports and send them together.')
  }
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await noteUse(tx, ctx, input.appId)
    const deployed = await findDeployments(tx, input)
    const rows = [...deployed].map(([bundleId, found]) => ({
      orgId: ctx.orgId,
      appId: input.appId,
      bundleId,
      deviceId,
      ...found,
      createdAt: ctx.now(),
    }))
    if (rows.length === 0) return { counted: 0 }
    const fresh = await tx.insert(launchResults).values(rows).onConflictDoNothing().returning()
    await count(tx, ctx, input.appId, fresh)
    return { counted: fresh.length }
  })
}

/** The deployment of each reported bundle: the one the device names, if it is one of that bundle, else the newest. */
async function findDeployments(tx: Transaction, { appId, results }: RecordLaunches) {
  const reports = new Map(results.map((report) => [report.bundleId.toLowerCase(), report]))
  const named = results.flatMap(({ deploymentId }) => (deploymentId === undefined ? [] : [deploymentId]))
  const namedFirst = named.length === 0 ? [] : [desc(inArray(deployments.id, named))]
  const rows = await tx
    .selectDistinctOn([deployments.bundleId], { bundleId: deployments.bundleId, deploymentId: deployments.id })
    .from(deployments)
    .innerJoin(bundles, eq(bundles.id, deployments.bundleId))
    .where(and(eq(deployments.appId, appId), inArray(deployments.bundleId, [...reports.keys()])))
    .orderBy(deployments.bundleId, ...namedFirst, desc(deployments.id))
  return new Map(
    rows.flatMap(({ bundleId, deploymentId }) => {
      const report = reports.get(bundleId)
      return report ? [[bundleId, { deploymentId, outcome: report.outcome }] as const] : []
    }),
  )
}

async function count(
  tx: Transaction,
  ctx: Context,
  appId: string,
  fresh: readonly { deploymentId: string; outcome: LaunchOutcome }[],
): Promise<void> {
  const bucket = new Date(Math.floor(ctx.now().getTime() / HOUR_MS) * HOUR_MS)
  const shard = randomInt(SHARDS)
  // In one order everywhere, so that two reports never wait for each other in a circle.
  for (const deploymentId of [...new Set(fresh.map((row) => row.deploymentId))].sort()) {
    const of = (outcome: LaunchOutcome) =>
      fresh.filter((row) => row.deploymentId === deploymentId && row.outcome === outcome).length
    const tally = { confirmed: of('confirmed'), failed: of('failed'), blocked: of('blocked') }
    await tx
      .insert(launchCounts)
      .values({ orgId: ctx.orgId, appId, deploymentId, bucket, shard, ...tally })
      .onConflictDoUpdate({
        target: [launchCounts.deploymentId, launchCounts.bucket, launchCounts.shard],
        set: {
          confirmed: sql`${launchCounts.confirmed} + ${tally.confirmed}`,
          failed: sql`${launchCounts.failed} + ${tally.failed}`,
          blocked: sql`${launchCounts.blocked} + ${tally.blocked}`,
        },
      })
  }
}

async function noteUse(tx: Transaction, ctx: Context, appId: string): Promise<void> {
  const now = ctx.now()
  await tx
    .update(deviceTokens)
    .set({ lastUsedAt: now })
    .where(
      and(
        eq(deviceTokens.appId, appId),
        eq(deviceTokens.deviceId, ctx.actor.id),
        lt(deviceTokens.lastUsedAt, new Date(now.getTime() - HOUR_MS)),
      ),
    )
}
