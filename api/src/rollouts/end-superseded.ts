import { rollouts, type Transaction } from '@capstan/migrations'
import { and, eq, inArray, isNotNull, sql } from 'drizzle-orm'
import type { Auditor } from '../audit/record-audit.js'
import { recordDecision } from './change-status.js'
import { liveStatuses } from './queries.js'

/** Ends the rollout of a channel that gets another deployment. Its share of devices stays as it is. */
export async function endSuperseded(tx: Transaction, by: Auditor, channelId: string, now: Date): Promise<void> {
  const reason = 'The channel got another deployment.'
  const ended = await tx
    .update(rollouts)
    .set({ status: 'superseded', reason, endedAt: now, updatedAt: sql`now()` })
    .where(
      and(
        eq(rollouts.appChannelId, channelId),
        inArray(rollouts.status, [...liveStatuses]),
        isNotNull(rollouts.deploymentId),
      ),
    )
    .returning()
  for (const rollout of ended) await recordDecision(tx, by, rollout, { decision: 'superseded', reason, now })
}
