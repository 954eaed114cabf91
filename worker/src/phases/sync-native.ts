import { BuildFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import { commandEnvironment, sourceDir } from '../build-run.js'
import type { Project } from '../inspect-sandbox.js'
import type { Command } from '../run-command.js'
import { exitCodeOf, runCommand } from '../run-command.js'
import { scriptTool } from './build-web.js'

const assets = 'android/app/src/main/assets'

const copyScript = `
set -e
rm -rf ${assets}/public
mkdir -p ${assets}/public
cp -R -- "./$1/." ${assets}/public/
if [ -f capacitor.config.json ]; then cp capacitor.config.json ${assets}/; fi`

/** Puts the web output into the Android project: the project's own script, else Capacitor's command, else a copy. */
export async function syncNative(run: BuildRun, { containerId }: Sandbox, project: Project): Promise<void> {
  const command: Omit<Command, 'argv'> = {
    phase: 'sync-native',
    containerId,
    env: commandEnvironment(run),
    workingDir: sourceDir,
    failureCode: 'sync-failed',
    subject: 'Copying the web output into the Android project',
  }
  if (project.scripts.includes('capawesome:sync')) {
    await runCommand(run, { ...command, argv: [scriptTool(project), 'run', 'capawesome:sync'] })
  } else if (project.hasCapacitorCli) {
    await runCommand(run, { ...command, argv: ['npx', '--no-install', 'cap', 'sync', 'android'] })
  } else {
    const webDir = project.webDir ?? 'dist'
    if ((await exitCodeOf(run, { ...command, argv: ['test', '-d', webDir] })) !== 0) throw webOutputMissing(webDir)
    await runCommand(run, { ...command, argv: ['sh', '-c', copyScript, 'sh', webDir] })
  }
}

export const webOutputMissing = (webDir: string) =>
  new BuildFailure(
    'web-output-missing',
    `The web build left no folder ${JSON.stringify(webDir)}. Check webDir in capacitor.config.json and the build script.`,
  )
