import type { Claim, FinishReport } from '@capstan/migrations/messages'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { ApiClient, LeaseClient } from './api-client.js'
import type { BrokerClient } from './broker-client.js'
import { BuildFailure, LeaseLost, buildIdle, buildTimedOut, platformFailure } from './build-failure.js'
import type { BuildRun } from './build-run.js'
import type { ContainerEngine, Labels } from './container-engine.js'
import { EngineUnavailable } from './container-engine.js'
import type { Resolve } from './egress/connect-out.js'
import { resolveByHost } from './egress/connect-out.js'
import type { HostPolicy } from './egress/host-policy.js'
import { policyForBuild } from './egress/host-policy.js'
import { keepLease } from './keep-lease.js'
import { LogPump } from './log-pump.js'
import { SecretSet } from './mask.js'
import { PhaseReports } from './phase-reports.js'
import type { WorkerIdentity } from './reap.js'
import { attemptOf, buildLabels } from './reap.js'
import { runPhases } from './run-phases.js'

export type BuildWorld = {
  api: ApiClient
  engine: ContainerEngine
  broker: BrokerClient
  identity: WorkerIdentity
  /** The attempts under way, as `attemptOf` names them: their containers are no leftovers. */
  running: Set<string>
  imageId: () => Promise<string>
  extraCa?: Buffer
  hostPolicy: HostPolicy
  /** How names of hosts become addresses, when not by this machine's own resolver. */
  resolve?: Resolve
  heartbeatMs: number
  idleLimitMs: number
  log: Logger
}

const hurriedMs = 2_000
const unhurriedMs = 5 * 60_000
/** What is left of a build that succeeded does nothing any more, and its removal takes time from the report of its end. */
const removalWaitsMs = 1_000

/**
 * Runs one attempt from claim to finish report. Whatever happens, its containers are removed, those of a build that succeeded
 * after its end was reported; an engine that is away then is left to the reaper. `shutdown` aborts with the reason to hand the build back.
 */
export async function runBuild(world: BuildWorld, claim: Claim, shutdown: AbortSignal): Promise<void> {
  const stopped = new AbortController()
  const stop = (reason: unknown) => stopped.abort(reason)
  const stopForShutdown = () => stop(shutdown.reason)
  if (shutdown.aborted) stopForShutdown()
  shutdown.addEventListener('abort', stopForShutdown, { once: true })
  const log = world.log.child({ buildId: claim.spec.buildId, attempt: claim.attempt })
  const lease = world.api.withLease(claim.lease.token)
  const onTrouble = (error: unknown) => log.warn({ err: error }, 'the API was not reached')
  const keeper = keepLease({ lease, heartbeatMs: world.heartbeatMs, onStop: stop, onTrouble })
  const run = openRun(world, claim, lease, stopped)
  const attempt = attemptOf(run.labels)
  world.running.add(attempt)
  const timers = watchLimits(world, claim, run.logs, stop)
  try {
    const outcome = await runPhases(run).then(
      () => undefined,
      (error: unknown) => (stopped.signal.aborted ? stopped.signal.reason : error) as unknown,
    )
    for (const timer of timers) clearTimeout(timer)
    const concluded = conclude({ run, lease, shutdown, log }, outcome)
    if (outcome === undefined) await Promise.race([concluded, sleep(removalWaitsMs, undefined, { ref: false })])
    await Promise.all([removeTraces(world, run.labels, log), concluded])
  } finally {
    world.running.delete(attempt)
    for (const timer of timers) clearTimeout(timer)
    shutdown.removeEventListener('abort', stopForShutdown)
    await keeper[Symbol.asyncDispose]()
  }
}

function openRun(world: BuildWorld, claim: Claim, lease: LeaseClient, stopped: AbortController): BuildRun {
  const { spec, attempt } = claim
  const secrets = new SecretSet()
  secrets.add(claim.lease.token)
  const logs = new LogPump({
    secrets,
    send: (batch) => lease.appendLogs(batch, { signal: untilLost(stopped.signal), budgetMs: Number.POSITIVE_INFINITY }),
    ...(spec.limits.logBytes !== undefined && { buildBytes: spec.limits.logBytes }),
    onRefused: (error) => stopped.abort(error instanceof LeaseLost ? error : logsRefused(error)),
  })
  const untilStopped = { signal: stopped.signal, budgetMs: Number.POSITIVE_INFINITY }
  const phases = new PhaseReports({
    send: (reports) => lease.reportPhases(reports, untilStopped),
    onRefused: (error) => stopped.abort(error),
  })
  return {
    spec,
    attempt,
    leaseToken: claim.lease.token,
    lease,
    engine: world.engine,
    broker: world.broker,
    logs,
    phases,
    secrets,
    secretVariables: {},
    labels: buildLabels(world.identity, spec.buildId, attempt),
    stackId: world.identity.stackId,
    imageId: world.imageId,
    ...(world.extraCa && { extraCa: world.extraCa }),
    hostPolicy: policyForBuild(world.hostPolicy, spec.egressHosts),
    resolve: world.resolve ?? resolveByHost,
    signal: stopped.signal,
  }
}

/** Logs of a stopped build are still wanted, except where the lease is gone. */
function untilLost(stopped: AbortSignal): AbortSignal {
  const lost = new AbortController()
  const look = () => {
    if (stopped.reason instanceof LeaseLost) lost.abort(stopped.reason)
  }
  if (stopped.aborted) look()
  else stopped.addEventListener('abort', look, { once: true })
  return lost.signal
}

function watchLimits(
  world: BuildWorld,
  claim: Claim,
  logs: LogPump,
  stop: (reason: unknown) => void,
): NodeJS.Timeout[] {
  const { wallClockMs } = claim.spec.limits
  const wallClock = setTimeout(() => stop(buildTimedOut(wallClockMs)), wallClockMs)
  const look = () => {
    if (logs.silentMs() > world.idleLimitMs) stop(buildIdle(world.idleLimitMs))
  }
  return [wallClock, setInterval(look, Math.min(1_000, world.idleLimitMs))]
}

/** By label, so that what was made without an answer reaching us goes as well. */
async function removeTraces(world: BuildWorld, labels: Labels, log: Logger): Promise<void> {
  try {
    await world.engine.removeLabelled(labels)
  } catch (error) {
    log.error({ err: error }, 'containers of the build could not be removed; the reaper tries again')
  }
}

type Ending = { run: BuildRun; lease: LeaseClient; shutdown: AbortSignal; log: Logger }

async function conclude({ run, lease, shutdown, log }: Ending, outcome: unknown): Promise<void> {
  if (outcome instanceof LeaseLost) {
    log.warn('the lease is lost; another attempt owns the build')
    return
  }
  const report = finishReport(run.secrets, outcome)
  if (report.status !== 'succeeded') log.warn({ err: outcome, code: report.code }, 'the build did not succeed')
  const rest = await unsaid(run, shutdown)
  try {
    await lease.finish({ ...report, ...rest }, finishOptions(shutdown))
    log.info({ status: report.status }, 'build finished')
  } catch (error) {
    if (error instanceof LeaseLost) log.warn('the lease was lost before the build could be finished')
    else log.error({ err: error }, 'the end of the build could not be reported; its lease will expire')
  }
}

function finishReport(secrets: SecretSet, outcome: unknown): FinishReport {
  if (outcome === undefined) return { status: 'succeeded', retryable: false }
  const { status, code, message, retryable } = outcome instanceof BuildFailure ? outcome : unexpected(outcome)
  return { status, code, message: secrets.maskText(message).slice(0, 2_000), retryable }
}

function unexpected(error: unknown): BuildFailure {
  if (error instanceof EngineUnavailable) {
    return platformFailure(
      'container-engine-unavailable',
      'The container engine stopped answering during the build.',
      error,
    )
  }
  return platformFailure(
    'worker-error',
    'The build worker failed for a reason of its own; its log has the details.',
    error,
  )
}

const logsRefused = (cause: unknown) => platformFailure('logs-refused', 'The API refused the log of the build.', cause)

/** What the report of the end has to carry, once all that is on its way has arrived; an API that is away is not waited for long. */
async function unsaid(
  { logs, phases }: BuildRun,
  shutdown: AbortSignal,
): Promise<Pick<FinishReport, 'phases' | 'logs'>> {
  const limitMs = shutdown.aborted ? hurriedMs : unhurriedMs
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    const giveUp = () => resolve(undefined)
    timer = setTimeout(giveUp, limitMs)
    shutdown.addEventListener('abort', () => setTimeout(giveUp, hurriedMs).unref(), { once: true })
  })
  const [last] = (await Promise.race([Promise.all([logs.takeLast(), phases.close()]), late])) ?? []
  clearTimeout(timer)
  const { unheard } = phases
  return { ...(unheard.length > 0 && { phases: [...unheard] }), ...(last && { logs: last }) }
}

function finishOptions(shutdown: AbortSignal) {
  if (shutdown.aborted) return { budgetMs: hurriedMs, signal: AbortSignal.timeout(hurriedMs) }
  const hurry = new AbortController()
  shutdown.addEventListener('abort', () => setTimeout(() => hurry.abort(), hurriedMs).unref(), { once: true })
  return { budgetMs: unhurriedMs, signal: hurry.signal }
}
