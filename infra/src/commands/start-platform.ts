import { requireComponents } from '../components/require-components.js'
import type { Config } from '../config.js'
import type { Failure } from '../failure.js'
import { startStack } from '../stack/start-stack.js'
import { stopOnSignal } from '../stack/stop-on-signal.js'
import { Teardown } from '../stack/teardown.js'

const say = (line: string): void => console.log(line)

/** Runs the platform in the foreground on stable ports until it is told to stop, or until a process cannot be kept up. */
export async function startPlatform(config: Config): Promise<number> {
  const teardown = new Teardown()
  const interruption = stopOnSignal(teardown, say)
  await requireComponents(config, say)
  let giveUp = (_failure: Failure): void => {}
  const givenUp = new Promise<Failure>((resolve) => {
    giveUp = resolve
  })
  const stack = await startStack({
    config,
    say,
    teardown,
    dataDir: config.dataDir,
    devJsonFolder: config.dataDir,
    ports: 'stable',
    onGivenUp: (failure) => giveUp(failure),
  })
  say(`ready: ${stack.apiUrl}`)
  say(`addresses and first users: ${config.dataDir}/dev.json; logs: ${stack.folders.logs}; Ctrl-C stops everything`)
  const failure = await Promise.race([interruption.asked, givenUp])
  await teardown.run()
  interruption.forget()
  if (failure) throw failure
  return 0
}
