import { createAlarm } from '../alarm.js'

export type RepeatOptions = {
  everyMs: number
  signal: AbortSignal
  /** Told of a pass that failed, and of the first one that succeeds. */
  onFailure: (error: unknown) => void
  onFirstPass?: () => void
}

export type Repeated = {
  /** Settles when the signal has ended it. */
  ended: Promise<void>
  /** Begins the next pass without waiting for its time. */
  wake: () => void
}

/** Does `work` again and again until the signal: a pass that fails is reported, and the next one comes as usual. */
export function repeat(work: () => Promise<unknown>, options: RepeatOptions): Repeated {
  const { everyMs, signal } = options
  const alarm = createAlarm(signal)
  const loop = async (): Promise<void> => {
    let passed = false
    while (!signal.aborted) {
      try {
        await work()
        if (!passed) options.onFirstPass?.()
        passed = true
      } catch (error) {
        options.onFailure(error)
      }
      await alarm.wait(everyMs)
    }
  }
  return { ended: loop(), wake: alarm.ring }
}
