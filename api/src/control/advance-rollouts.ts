import { bundles, channels, newId, rollouts, type Transaction, withOrg } from '@capstan/migrations'
import { and, asc, eq, inArray, isNotNull, lte, or, sql } from 'drizzle-orm'
import { bundleIsSigned } from '../bundles/bundle-is-signed.js'
import { mayWiden } from '../change-requests/deployment-consent.js'
import { Problem } from '../problems.js'
import { changeStatus } from '../rollouts/change-status.js'
import { type Judgement, judgeLaunches } from '../rollouts/judge-launches.js'
import { countLaunches, type Rollout, sinceBaseline } from '../rollouts/queries.js'
import { percent, startRollout } from '../rollouts/start-rollout.js'
import type { ControlDeps } from './control-deps.js'

const ROLLOUTS_AT_ONCE = 200

type Due = Pick<Rollout, 'id' | 'orgId' | 'appId' | 'appChannelId' | 'bundleId' | 'status'>

/**
 * Starts rollouts whose time has come, stops those whose launches fail too often, and takes the next step of the others.
 * Several control processes may run: each rollout is changed under its own lock, from the status that it has then.
 */
export async function advanceRollouts(deps: ControlDeps): Promise<number> {
  const due = await deps.db
    .select({
      id: rollouts.id,
      orgId: rollouts.orgId,
      appId: rollouts.appId,
      appChannelId: rollouts.appChannelId,
      bundleId: rollouts.bundleId,
      status: rollouts.status,
    })
    .from(rollouts)
    .where(
      or(
        and(eq(rollouts.status, 'scheduled'), lte(rollouts.startsAt, deps.now())),
        and(inArray(rollouts.status, ['running', 'paused']), isNotNull(rollouts.deploymentId)),
      ),
    )
    .orderBy(sql`${asc(rollouts.lookedAt)} nulls first`)
    .limit(ROLLOUTS_AT_ONCE)
  let changed = 0
  for (const rollout of due) {
    try {
      if (rollout.status === 'scheduled' ? await start(deps, rollout) : await look(deps, rollout)) changed += 1
    } catch (error) {
      // One that cannot be looked at must not keep the others waiting.
      deps.log.error({ err: error, rolloutId: rollout.id }, 'a rollout could not be looked at')
    }
  }
  return changed
}

const byControl = (deps: ControlDeps, orgId: string) => ({
  orgId,
  now: deps.now,
  actor: { type: 'system', id: 'control' } as const,
  requestId: newId(),
})

async function start(deps: ControlDeps, due: Due): Promise<boolean> {
  const by = byControl(deps, due.orgId)
  const now = deps.now()
  try {
    const signed = await isSigned(deps, due)
    const key = { appId: due.appId, rolloutId: due.id, channelId: due.appChannelId }
    const started = await withOrg(deps.db, due.orgId, (tx) => startRollout(tx, by, key, { signed }))
    if (started) deps.log.info({ rolloutId: due.id, deploymentId: started.deploymentId }, 'a rollout started')
    return started !== null
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const reason = `Could not start: ${error.message}`
    deps.log.warn({ rolloutId: due.id, reason }, 'a rollout could not start')
    return withOrg(deps.db, due.orgId, async (tx) => {
      const rollout = await lockRollout(tx, due.id)
      if (rollout?.status !== 'scheduled') return false
      await changeStatus(tx, by, rollout, { to: 'failed', decision: 'failed', reason, now })
      return true
    })
  }
}

async function isSigned(deps: ControlDeps, due: Due): Promise<boolean> {
  const bundle = await withOrg(deps.db, due.orgId, async (tx) => {
    const [found] = await tx
      .select({ bundle: bundles })
      .from(bundles)
      .innerJoin(channels, and(eq(channels.id, due.appChannelId), isNotNull(channels.protectedAt)))
      .where(eq(bundles.id, due.bundleId))
    return found?.bundle ?? null
  })
  return bundle !== null && bundleIsSigned({ db: deps.db, objects: deps.objects, orgId: due.orgId }, bundle)
}

async function look(deps: ControlDeps, due: Due): Promise<boolean> {
  const outcome = await withOrg(deps.db, due.orgId, async (tx) => {
    const rollout = await lockRollout(tx, due.id)
    if (!rollout || !['running', 'paused'].includes(rollout.status)) return null
    await tx.update(rollouts).set({ lookedAt: deps.now() }).where(eq(rollouts.id, rollout.id))
    const judgement = judgeLaunches(sinceBaseline(await countLaunches(tx, rollout), rollout), rollout.haltRule)
    if (judgement.halt) return halt(tx, deps, rollout, judgement)
    return rollout.status === 'running' && (await isStepDone(tx, deps, rollout, judgement))
      ? takeStep(tx, deps, rollout, judgement)
      : null
  })
  if (!outcome) return false
  const line = { rolloutId: due.id, status: outcome.status, step: outcome.step, reason: outcome.reason }
  if (outcome.status === 'halted') deps.log.warn(line, 'a rollout was halted')
  else deps.log.info(line, 'a rollout advanced')
  return true
}

function halt(tx: Transaction, deps: ControlDeps, rollout: Rollout, judgement: Judgement): Promise<Rollout> {
  const { candidate, control, againstControl, statistic, threshold } = judgement
  const what = againstControl === statistic ? 'more often than before' : 'beyond the ceiling'
  const share = ({ confirmed, failed }: { confirmed: number; failed: number }) => `${failed} of ${confirmed + failed}`
  const reason = `Launches fail ${what}: ${share(candidate)}, ${share(control)} of the control. Evidence ${statistic.toFixed(2)} reached ${threshold.toFixed(2)}.`
  const change = { to: 'halted', decision: 'halted', reason, percentage: 0, judgement, now: deps.now() } as const
  return changeStatus(tx, byControl(deps, rollout.orgId), rollout, change)
}

async function isStepDone(
  tx: Transaction,
  deps: ControlDeps,
  rollout: Rollout,
  { candidate }: Judgement,
): Promise<boolean> {
  const dwellMs = rollout.steps[rollout.step]?.dwellMs ?? 0
  if (deps.now().getTime() < (rollout.stepStartedAt?.getTime() ?? 0) + dwellMs) return false
  if (candidate.confirmed + candidate.failed < rollout.haltRule.minimumLaunches) return false
  // While a channel is paused no device gets anything, so time shows nothing.
  const [paused] = await tx
    .select({ id: channels.id })
    .from(channels)
    .where(and(eq(channels.id, rollout.appChannelId), isNotNull(channels.pausedAt)))
  return !paused
}

async function takeStep(
  tx: Transaction,
  deps: ControlDeps,
  rollout: Rollout,
  judgement: Judgement,
): Promise<Rollout | null> {
  const now = deps.now()
  const next = rollout.steps[rollout.step + 1]
  const by = byControl(deps, rollout.orgId)
  if (!next) {
    const reason = 'The last step held.'
    return changeStatus(tx, by, rollout, { to: 'completed', decision: 'completed', reason, judgement, now })
  }
  const may = await mayWiden(tx, rollout)
  if (may === 'frozen') return null
  if (may === 'unapproved') {
    const reason = 'Paused: its plan was not approved. Resume it, which asks for an approval.'
    return changeStatus(tx, by, rollout, { to: 'paused', decision: 'paused', reason, judgement, now })
  }
  return changeStatus(tx, by, rollout, {
    to: 'running',
    decision: 'advanced',
    reason: `Raised to ${percent(next.percentage)} of devices.`,
    set: { step: rollout.step + 1, stepStartedAt: now },
    percentage: next.percentage,
    judgement,
    now,
  })
}

async function lockRollout(tx: Transaction, id: string): Promise<Rollout | null> {
  const [rollout] = await tx
    .select()
    .from(rollouts)
    .where(eq(rollouts.id, id))
    .for('no key update', { skipLocked: true })
  return rollout ?? null
}
