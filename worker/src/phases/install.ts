import type { BuildRun, Sandbox } from '../build-run.js'
import { commandEnvironment, sourceDir } from '../build-run.js'
import type { CacheUse } from './restore-cache.js'
import type { Project } from '../inspect-sandbox.js'
import { projectDir } from '../inspect-sandbox.js'
import { stores } from '../cached-managers.js'
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

/** Installs what the lockfile names. */
export async function install(run: BuildRun, sandbox: Sandbox, project: Project, cache?: CacheUse): Promise<void> {
  const { installCommand, installDir, packageManager: manager } = project
  if (manager === null) return
  if (manager === 'npm-unlocked' && installCommand === null) {
    run.logs.note(
      'install',
      'There is no lockfile, so versions are chosen now. Commit a lockfile to make builds repeatable.',
    )
  }
  await runCommand(run, {
    phase: 'install',
    containerId: sandbox.containerId,
    argv: installCommand === null ? installCommands[manager] : ['sh', '-c', installCommand],
    env: { ...commandEnvironment(run), ...(cache && stores[cache.question.packageManager].environment) },
    workingDir: installCommand === null ? `${sourceDir}/${installDir}` : projectDir(project),
    failureCode: 'install-failed',
    subject: 'Installing the dependencies',
  })
}
