import type { BuildPhase, PhaseReport } from '@capstan/migrations/messages'
import { BuildFailure, LeaseLost } from './build-failure.js'
import type { BuildRun } from './build-run.js'

const reportAfterFailureMs = 2_000

/** Runs one phase between the reports of its start and its end. */
export async function inPhase<T>(run: BuildRun, phase: BuildPhase, work: () => Promise<T>): Promise<T> {
  run.signal.throwIfAborted()
  const startedAt = Date.now()
  run.logs.touch()
  await report(run, { phase, state: 'started' })
  try {
    const result = await work()
    run.signal.throwIfAborted()
    run.logs.note(phase, `Done in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`)
    await report(run, { phase, state: 'succeeded' })
    return result
  } catch (error) {
    const reason = run.signal.aborted ? run.signal.reason : error
    if (!(reason instanceof LeaseLost)) await reportFailure(run, phase, reason)
    throw reason
  }
}

export async function skipPhases(run: BuildRun, phases: readonly BuildPhase[], reason: string): Promise<void> {
  run.signal.throwIfAborted()
  await Promise.all(phases.map((phase) => report(run, { phase, state: 'skipped', detail: reason })))
}

async function report(run: BuildRun, body: Omit<PhaseReport, 'at'>): Promise<void> {
  const options = { signal: run.signal, budgetMs: Number.POSITIVE_INFINITY }
  await run.lease.reportPhase({ ...body, at: new Date().toISOString() }, options)
}

/** The report of the end of the build follows and matters more, so this one is not insisted on. */
async function reportFailure(run: BuildRun, phase: BuildPhase, reason: unknown): Promise<void> {
  const sentence = reason instanceof BuildFailure ? reason.message : 'The build worker failed.'
  const detail = run.secrets.maskText(sentence).slice(0, 2_000)
  run.logs.note(phase, `Failed: ${detail}`)
  const body: PhaseReport = { phase, state: 'failed', at: new Date().toISOString(), detail }
  const options = { budgetMs: reportAfterFailureMs, signal: AbortSignal.timeout(reportAfterFailureMs) }
  await run.lease.reportPhase(body, options).catch(() => undefined)
}
