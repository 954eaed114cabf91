import type { Config } from '../config.js'
import { countTests, type TestReport } from './count-tests.js'
import { runVitest } from './run-vitest.js'

const say = (line: string): void => console.log(line)

/** Starts throw-away servers, runs every test against them, and stops them. */
export async function runTests(config: Config, args: readonly string[]): Promise<number> {
  const run = await runVitest<TestReport>(config, say, args)
  if (run === null) return 130
  const { passed, failed } = countTests(run.report)
  say(`${passed} passed, ${failed} failed`)
  return run.code === 0 && failed > 0 ? 1 : run.code
}
