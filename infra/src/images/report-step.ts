export type Log = (line: string) => void

const reportEveryMs = 10_000

/** Runs one long step and says when it starts, that it is still going, and how long it took. */
export async function reportStep<T>(
  log: Log,
  label: string,
  work: (onLine: (line: string) => void) => Promise<T>,
): Promise<T> {
  const startedAt = performance.now()
  const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(1)
  let lastLine = ''
  log(`builder images: ${label} …`)
  const timer = setInterval(() => log(`builder images: ${label} … ${seconds()} s  ${lastLine}`), reportEveryMs)
  try {
    const result = await work((line) => {
      lastLine = line.trim().slice(0, 90)
    })
    log(`builder images: ${label} done in ${seconds()} s`)
    return result
  } catch (error) {
    log(`builder images: ${label} failed after ${seconds()} s`)
    throw error
  } finally {
    clearInterval(timer)
  }
}
