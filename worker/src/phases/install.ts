import { platformFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import { commandEnvironment, sourceDir } from '../build-run.js'
import type { Project } from '../inspect-sandbox.js'
import { runCommand } from '../run-command.js'

type Manager = Exclude<Project['packageManager'], null>

const installCommands: Record<Manager, readonly string[]> = {
  npm: ['npm', 'ci'],
  'npm-unlocked': ['npm', 'install', '--no-package-lock'],
  pnpm: ['pnpm', 'install', '--frozen-lockfile'],
  yarn: ['yarn', 'install', '--frozen-lockfile'],
  'yarn-berry': ['yarn', 'install', '--immutable'],
  bun: ['bun', 'install', '--frozen-lockfile'],
}

/** Installs what the lockfile names. It is the last phase with a network. */
export async function install(run: BuildRun, { containerId }: Sandbox, manager: Manager): Promise<void> {
  if (manager === 'npm-unlocked') {
    run.logs.note(
      'install',
      'There is no lockfile, so versions are chosen now. Commit a lockfile to make builds repeatable.',
    )
  }
  await runCommand(run, {
    phase: 'install',
    containerId,
    argv: installCommands[manager],
    env: commandEnvironment(run),
    workingDir: sourceDir,
    failureCode: 'install-failed',
    subject: 'Installing the dependencies',
  })
}

/** Fails closed: a build that cannot be cut off does not go on. */
export async function cutNetwork(run: BuildRun, { containerId, networkId }: Sandbox): Promise<void> {
  try {
    await run.engine.disconnect(networkId, containerId)
    await run.engine.removeNetwork(networkId)
  } catch (error) {
    throw platformFailure('network-cut-failed', 'The build container could not be cut off from the network.', error)
  }
  run.logs.note('install', 'The network is disconnected.')
}
