import { rolloutStatuses } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'
import type { RolloutDetails } from './list-rollouts.js'
import type { Rollout as Row } from './queries.js'

const MINUTE_MS = 60_000
const Tally = z.object({ confirmed: z.number().int(), failed: z.number().int() })

const Evidence = z
  .object({
    candidate: Tally,
    control: Tally,
    halt: z.boolean(),
    statistic: z.number(),
    threshold: z.number(),
    againstControl: z.number(),
    againstCeiling: z.number(),
  })
  .openapi('RolloutEvidence', {
    description:
      'Launches that count and what they say. A rollout halts once the statistic, a natural logarithm, reaches the threshold.',
  })

export const Rollout = z
  .object({
    id: Id,
    appId: Id,
    appBuildId: Id,
    appChannelId: Id,
    appDeploymentId: Id.nullable(),
    controlAppDeploymentId: Id.nullable(),
    status: z.enum(rolloutStatuses),
    reason: z.string().nullable(),
    startsAt: Timestamp,
    steps: z.array(z.object({ percentage: z.number(), dwellMinutes: z.number() })),
    step: z.number().int(),
    stepStartedAt: Timestamp.nullable(),
    haltRule: z.object({
      falseAlarms: z.number(),
      tolerance: z.number(),
      ceiling: z.number(),
      minimumLaunches: z.number().int(),
    }),
    createdAt: Timestamp,
    endedAt: Timestamp.nullable(),
  })
  .openapi('Rollout')

export const RolloutWithDecisions = Rollout.extend({
  appChannelName: z.string().nullable(),
  evidence: Evidence,
  decisions: z.array(
    z.object({
      id: Id,
      step: z.number().int(),
      decision: z.string(),
      reason: z.string(),
      decidedBy: Id.nullable(),
      evidence: Evidence,
      createdAt: Timestamp,
    }),
  ),
}).openapi('RolloutWithDecisions')

export function presentRollout(row: Row): z.infer<typeof Rollout> {
  return {
    id: row.id,
    appId: row.appId,
    appBuildId: row.appBuildId,
    appChannelId: row.appChannelId,
    appDeploymentId: row.deploymentId,
    controlAppDeploymentId: row.controlDeploymentId,
    status: row.status,
    reason: row.reason,
    startsAt: row.startsAt.toISOString(),
    steps: row.steps.map(({ percentage, dwellMs }) => ({ percentage, dwellMinutes: dwellMs / MINUTE_MS })),
    step: row.step,
    stepStartedAt: row.stepStartedAt?.toISOString() ?? null,
    haltRule: row.haltRule,
    createdAt: row.createdAt.toISOString(),
    endedAt: row.endedAt?.toISOString() ?? null,
  }
}

export function presentDetails(details: RolloutDetails): z.infer<typeof RolloutWithDecisions> {
  return {
    ...presentRollout(details.rollout),
    appChannelName: details.channelName,
    evidence: details.judgement,
    decisions: details.decisions.map((row) => ({
      id: row.id,
      step: row.step,
      decision: row.decision,
      reason: row.reason,
      decidedBy: row.decidedBy,
      evidence: Evidence.parse(row.evidence),
      createdAt: row.createdAt.toISOString(),
    })),
  }
}
