import { setTimeout as sleep } from 'node:timers/promises'

export type RepeatOptions = {
  everyMs: number
  signal: AbortSignal
  /** Told of a pass that failed, and of the first one that succeeds. */
  onFailure: (error: unknown) => void
  onFirstPass?: () => void
}

/** Does `work` again and again until the signal: a pass that fails is reported, and the next one comes as usual. */
export async function repeat(work: () => Promise<unknown>, options: RepeatOptions): Promise<void> {
  let passed = false
  while (!options.signal.aborted) {
    try {
      await work()
      if (!passed) options.onFirstPass?.()
      passed = true
    } catch (error) {
      options.onFailure(error)
    }
    await sleep(options.everyMs, undefined, { signal: options.signal }).catch(() => undefined)
  }
}
