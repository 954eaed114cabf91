import type { Config } from './options.js'
import type { Launch } from './launch.js'
import type { LiveUpdate } from './live-update.js'

const defaultLaunchTimeoutMs = 5000
const defaultIntervalMs = 3_600_000

/** Starts a timer that does not keep a program alive. */
function unattended(timer: ReturnType<typeof setTimeout>): void {
  if (typeof timer === 'object') timer.unref()
}

/** The same client, whose `launch` also fetches updates as the strategy says. Refusals are events; they never fail a launch. */
export function followStrategy(client: LiveUpdate, config: Config): LiveUpdate {
  const { strategy = 'manual', launchTimeoutMs = defaultLaunchTimeoutMs, intervalMs = defaultIntervalMs } = config
  let interval: ReturnType<typeof setInterval> | undefined

  const look = (): Promise<unknown> => client.sync().catch(() => null)

  async function launchUpdated(launched: Launch): Promise<Launch> {
    const tooLate = new Promise((resolve) => unattended(setTimeout(resolve, launchTimeoutMs)))
    await Promise.race([look(), tooLate])
    // A launch that is on trial already is not replaced: its page has to say first whether it works.
    return launched.nonce === null ? client.apply() : launched
  }

  return {
    ...client,
    async launch() {
      const launched = await client.launch()
      if (strategy === 'immediate') return launchUpdated(launched)
      if (strategy !== 'manual') void look()
      if (strategy === 'background' && interval === undefined) {
        interval = setInterval(() => void look(), intervalMs)
        unattended(interval)
      }
      return launched
    },
    stop() {
      clearInterval(interval)
      interval = undefined
    },
  }
}
