import { setTimeout as sleep } from 'node:timers/promises'

export type RetryOptions = {
  isTransient: (error: unknown) => boolean
  signal?: AbortSignal
  /** Give up after this long; the last error is thrown. */
  budgetMs: number
  firstDelayMs?: number
  longestDelayMs?: number
}

/** Repeats an operation that is safe to repeat, with growing, jittered pauses. */
export async function retry<T>(operation: () => Promise<T>, options: RetryOptions): Promise<T> {
  const startedAt = Date.now()
  let pause = options.firstDelayMs ?? 200
  for (;;) {
    options.signal?.throwIfAborted()
    try {
      return await operation()
    } catch (error) {
      options.signal?.throwIfAborted()
      if (!options.isTransient(error) || Date.now() - startedAt + pause > options.budgetMs) throw error
    }
    await sleep(pause * (0.5 + Math.random() / 2), undefined, options.signal && { signal: options.signal }).catch(() =>
      options.signal?.throwIfAborted(),
    )
    pause = Math.min(pause * 2, options.longestDelayMs ?? 5_000)
  }
}
