import { unprovenControls } from '../attack/controls.js'
import type { Config } from '../config.js'
import { countTests } from './count-tests.js'
import { runVitest } from './run-vitest.js'

const say = (line: string): void => console.log(line)

/** Starts throw-away servers, runs every test against them, and stops them. */
export async function runTests(config: Config, args: readonly string[]): Promise<number> {
  const run = await runVitest(config, say, args)
  if (run === null) return 130
  const { passed, failed } = countTests(run.report)
  say(`${passed} passed, ${failed} failed`)
  // Of a run of some files nothing is known about the others.
  const unproven = args.length === 0 ? unprovenControls(config.checkout, run.report) : []
  if (unproven.length > 0) say(`Controls that are called in place and were not shown to be:\n${unproven.join('\n')}`)
  return run.code === 0 && failed + unproven.length > 0 ? 1 : run.code
}
