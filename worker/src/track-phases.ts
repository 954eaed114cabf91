import type { BuildPhase } from '@capstan/migrations/messages'
import { BuildFailure, LeaseLost } from './build-failure.js'
import type { BuildRun } from './build-run.js'

/**
 * Runs one phase, and reports its start and its end. The report of the start is on its way while the phase does its work;
 * no phase ends before the API knows of its start, so a worker is never ahead by more than the phase that it is in.
 */
export async function inPhase<T>(run: BuildRun, phase: BuildPhase, work: () => Promise<T>): Promise<T> {
  run.signal.throwIfAborted()
  const startedAt = new Date()
  run.logs.touch()
  run.logs.sendNow()
  run.phases.add({ phase, state: 'started', at: startedAt.toISOString() })
  try {
    const result = await work()
    const endedAt = new Date()
    await run.phases.heard()
    run.signal.throwIfAborted()
    run.logs.note(phase, `Done in ${((endedAt.getTime() - startedAt.getTime()) / 1000).toFixed(1)} s`)
    run.phases.add({ phase, state: 'succeeded', at: endedAt.toISOString() })
    return result
  } catch (error) {
    const reason = run.signal.aborted ? run.signal.reason : error
    if (!(reason instanceof LeaseLost)) reportFailure(run, phase, reason)
    throw reason
  }
}

export function skipPhases(run: BuildRun, phases: readonly BuildPhase[], reason: string): void {
  run.signal.throwIfAborted()
  const at = new Date().toISOString()
  for (const phase of phases) run.phases.add({ phase, state: 'skipped', at, detail: reason })
}

function reportFailure(run: BuildRun, phase: BuildPhase, reason: unknown): void {
  const sentence = reason instanceof BuildFailure ? reason.message : 'The build worker failed.'
  const detail = run.secrets.maskText(sentence).slice(0, 2_000)
  run.logs.note(phase, `Failed: ${detail}`)
  run.phases.add({ phase, state: 'failed', at: new Date().toISOString(), detail })
}
