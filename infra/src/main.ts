import { checkRepository } from './commands/check-repository.js'
import { runAttack } from './commands/run-attack.js'
import { runBench } from './commands/run-bench.js'
import { runDemo } from './commands/run-demo.js'
import { runTests } from './commands/run-tests.js'
import { startPlatform } from './commands/start-platform.js'
import { writeOpenapi } from './commands/write-openapi.js'
import { readConfig, type Config } from './config.js'
import { Failure, missing } from './failure.js'
import { BuilderImageError } from './images/builder-image-error.js'

type Command = (config: Config, args: readonly string[]) => Promise<number>

const commands: Readonly<Record<string, Command>> = {
  demo: runDemo,
  test: runTests,
  start: startPlatform,
  bench: runBench,
  attack: runAttack,
  check: checkRepository,
  openapi: writeOpenapi,
}

/** Runs one of the root commands; resolves to the exit code. */
export async function runCommand(name: string, args: readonly string[]): Promise<number> {
  try {
    const command = commands[name]
    if (!command) throw missing(`\`npm run ${name}\` is not there yet.`)
    return await command(readConfig(), args)
  } catch (error) {
    if (error instanceof BuilderImageError) {
      console.error(`capstan: ${error.message}`)
      return 2
    }
    if (!(error instanceof Failure)) throw error
    if (error.exitCode !== 130) console.error(`capstan: ${error.message}`)
    return error.exitCode
  }
}
