import type { BuildRun, Sandbox } from '../build-run.js'
import { commandEnvironment, sourceDir } from '../build-run.js'
import type { Project } from '../inspect-sandbox.js'
import { runCommand } from '../run-command.js'

export const webBuildScript = ({ scripts }: Project): string | undefined =>
  ['capawesome:build', 'build'].find((name) => scripts.includes(name))

export async function buildWeb(
  run: BuildRun,
  { containerId }: Sandbox,
  project: Project,
  script: string,
): Promise<void> {
  await runCommand(run, {
    phase: 'build-web',
    containerId,
    argv: [scriptTool(project), 'run', script],
    env: commandEnvironment(run),
    workingDir: sourceDir,
    failureCode: 'web-build-failed',
    subject: 'The web build',
  })
}

export function scriptTool({ packageManager }: Project): string {
  if (packageManager === 'pnpm' || packageManager === 'bun') return packageManager
  return packageManager?.startsWith('yarn') === true ? 'yarn' : 'npm'
}
