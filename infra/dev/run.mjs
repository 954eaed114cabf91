// Entry point of every root command. Runs before anything is installed: no dependency, no TypeScript.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { compileWorkspace } from './compile-workspace.mjs'
import { installDependencies } from './install-dependencies.mjs'
import { MissingComponent, SetupFailure } from './setup-failure.mjs'
import { withSetupLock } from './setup-lock.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const commands = ['demo', 'test', 'start', 'check', 'bench', 'attack', 'openapi']

async function setUp(command) {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new MissingComponent(
      `Capstan needs Node.js 20.19 or newer and this is ${process.versions.node}. Install a newer one from https://nodejs.org and run the command again.`,
    )
  }
  if (!commands.includes(command)) {
    throw new MissingComponent(`Unknown command "${command ?? ''}". Use one of: ${commands.join(', ')}.`)
  }
  await withSetupLock(join(root, '.capstan', 'cache'), async () => {
    await installDependencies(root)
    await compileWorkspace(root)
  })
}

async function run() {
  const [command, ...rest] = process.argv.slice(2)
  await setUp(command)
  const entry = join(root, 'infra', 'dist', 'main.js')
  if (!existsSync(entry)) throw new SetupFailure('infra/dist/main.js is missing after compiling. Run `npm run build`.')
  const { runCommand } = await import(pathToFileURL(entry).href)
  process.exitCode = await runCommand(command, rest[0] === '--' ? rest.slice(1) : rest)
}

try {
  await run()
} catch (error) {
  if (error instanceof MissingComponent || error instanceof SetupFailure) {
    console.error(`capstan: ${error.message}`)
    process.exitCode = error.exitCode
  } else {
    console.error(error)
    process.exitCode = 1
  }
}
