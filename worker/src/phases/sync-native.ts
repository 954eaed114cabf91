import { BuildFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import { commandEnvironment } from '../build-run.js'
import type { Project } from '../inspect-sandbox.js'
import { projectDir } from '../inspect-sandbox.js'
import { inContainerScript, scriptRunner } from '../in-container-script.js'
import type { Command } from '../run-command.js'
import { captureCommand, exitCodeOf, runCommand } from '../run-command.js'
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
    workingDir: projectDir(project),
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
  await overrideNames(run, containerId, project)
}

/** The display name and the application's id, where the build names others than the project. */
async function overrideNames(run: BuildRun, containerId: string, project: Project): Promise<void> {
  const { overrides = {} } = run.spec
  if (overrides.displayName === undefined && overrides.packageName === undefined) return
  const printed = await captureCommand(run, {
    phase: 'sync-native',
    containerId,
    argv: [...scriptRunner, `${projectDir(project)}/android`, JSON.stringify(overrides)],
    stdin: await inContainerScript('override-names'),
    failureCode: 'overrides-failed',
    subject: 'Writing the names of the build into the Android project',
  })
  const [problem, ...notes] = printed.toString('utf8').trim().split('\n')
  if (problem !== 'ok') throw new BuildFailure('overrides-failed', run.secrets.maskText(problem ?? '').slice(0, 500))
  for (const note of notes) run.logs.note('sync-native', note.slice(0, 500))
}

export const webOutputMissing = (webDir: string) =>
  new BuildFailure(
    'web-output-missing',
    `The web build left no folder ${JSON.stringify(webDir)}. Check webDir in capacitor.config.json and the build script.`,
  )
