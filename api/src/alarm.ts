export type Alarm = { ring: () => void; wait(milliseconds: number): Promise<void> }

/** A bell that is rung while nobody waits is heard at the next wait; the signal rings it too. */
export function createAlarm(signal: AbortSignal): Alarm {
  let rung = false
  let wake: (() => void) | null = null
  const ring = () => {
    rung = true
    wake?.()
  }
  signal.addEventListener('abort', ring, { once: true })
  return {
    ring,
    async wait(milliseconds: number): Promise<void> {
      if (!rung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, milliseconds)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      rung = false
      wake = null
    },
  }
}
