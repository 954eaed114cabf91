import type { BuildRun, Sandbox } from '../build-run.js'
import { commandEnvironment } from '../build-run.js'
import type { Project } from '../inspect-sandbox.js'
import { projectDir } from '../inspect-sandbox.js'
import { runCommand } from '../run-command.js'

/** The project file's own command, else the script `capawesome:build`, else `build`; nothing where none of them is. */
export function webBuildCommand(project: Project): readonly string[] | undefined {
  if (project.webBuildCommand !== null) return ['sh', '-c', project.webBuildCommand]
  const script = ['capawesome:build', 'build'].find((name) => project.scripts.includes(name))
  return script === undefined ? undefined : [scriptTool(project), 'run', script]
}

export async function buildWeb(
  run: BuildRun,
  { containerId }: Sandbox,
  project: Project,
  command: readonly string[],
): Promise<void> {
  await runCommand(run, {
    phase: 'build-web',
    containerId,
    argv: command,
    env: commandEnvironment(run),
    workingDir: projectDir(project),
    failureCode: 'web-build-failed',
    subject: 'The web build',
  })
}

export function scriptTool({ packageManager }: Project): string {
  if (packageManager === 'pnpm' || packageManager === 'bun') return packageManager
  return packageManager?.startsWith('yarn') === true ? 'yarn' : 'npm'
}
