import { channels, rolloutDecisions, rollouts, withOrg } from '@capstan/migrations'
import { and, asc, desc, eq, inArray } from 'drizzle-orm'
import { type Context, readableChannels, requireChannelScope } from '../context.js'
import { type Judgement, judgeLaunches } from './judge-launches.js'
import { countLaunches, requireRollout, type Rollout, sinceBaseline } from './queries.js'

const MAX_DECISIONS = 200

export type ListRollouts = {
  appId: string
  appChannelId?: string | undefined
  status?: Rollout['status'] | undefined
  limit: number
  offset: number
}

/** Newest first. */
export async function listRollouts(ctx: Context, input: ListRollouts): Promise<Rollout[]> {
  const limit = readableChannels(ctx, 'deployments:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(rollouts)
      .where(
        and(
          eq(rollouts.appId, input.appId),
          limit ? inArray(rollouts.appChannelId, [...limit]) : undefined,
          input.appChannelId ? eq(rollouts.appChannelId, input.appChannelId) : undefined,
          input.status ? eq(rollouts.status, input.status) : undefined,
        ),
      )
      .orderBy(desc(rollouts.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}

export type RolloutDetails = {
  rollout: Rollout
  channelName: string | null
  judgement: Judgement
  decisions: (typeof rolloutDecisions.$inferSelect)[]
}

/** A rollout with its decisions, oldest first, and what the numbers say now. */
export async function getRollout(ctx: Context, key: { appId: string; rolloutId: string }): Promise<RolloutDetails> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const rollout = await requireRollout(tx, key)
    requireChannelScope(ctx, 'deployments:read', rollout.appChannelId)
    const [channel] = await tx
      .select({ name: channels.name })
      .from(channels)
      .where(eq(channels.id, rollout.appChannelId))
    const decisions = await tx
      .select()
      .from(rolloutDecisions)
      .where(eq(rolloutDecisions.rolloutId, rollout.id))
      .orderBy(asc(rolloutDecisions.id))
      .limit(MAX_DECISIONS)
    const judgement = judgeLaunches(sinceBaseline(await countLaunches(tx, rollout), rollout), rollout.haltRule)
    return { rollout, channelName: channel?.name ?? null, judgement, decisions }
  })
}
