import { BuildFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import { commandEnvironment, sourceDir } from '../build-run.js'
import type { AndroidOutput, AndroidVariant } from '../choose-variant.js'
import { gradleTask } from '../choose-variant.js'
import type { Project } from '../inspect-sandbox.js'
import { projectDir } from '../inspect-sandbox.js'
import { captureCommand, runCommand } from '../run-command.js'

export type Compiled = { output: AndroidOutput; path: string }

/** Runs the project's Gradle wrapper and returns the path of the one file of each kind that it made. */
export async function compile(
  run: BuildRun,
  { containerId }: Sandbox,
  project: Project,
  variant: AndroidVariant,
): Promise<Compiled[]> {
  refuseWithoutGradlew(project)
  const command = {
    phase: 'compile',
    containerId,
    failureCode: 'compile-failed',
    subject: 'The Android build',
  } as const
  const workingDir = `${projectDir(project)}/android`
  const outputs = `${workingDir}/app/build/outputs`
  // What the source brought along must not pass for what this build made.
  await runCommand(run, { ...command, argv: ['rm', '-rf', `${outputs}/apk`, `${outputs}/bundle`] })
  const tasks = variant.outputs.map((output) => gradleTask(variant, output))
  await runCommand(run, { ...command, argv: ['./gradlew', ...tasks], env: commandEnvironment(run), workingDir })
  const find = `test -d "$1" || exit 0; find "$1" -type f '(' -name '*.apk' -o -name '*.aab' ')' -print0`
  const argv = ['sh', '-c', find, 'sh', outputs]
  const listed = await captureCommand(run, { ...command, argv, subject: 'Looking for the output' })
  const paths = listed.toString('utf8').split('\0').filter(Boolean)
  return variant.outputs.map((output) => {
    const path = chooseOutput(paths, variant, output)
    run.logs.note('compile', `Built ${path.slice(sourceDir.length + 1)}`)
    return { output, path }
  })
}

function refuseWithoutGradlew(project: Project): void {
  if (!project.hasGradlew) {
    throw new BuildFailure(
      'gradlew-missing',
      'The source has no android/gradlew. Add the Android platform and upload it too.',
    )
  }
  if (!project.isGradlewExecutable) {
    throw new BuildFailure(
      'gradlew-not-executable',
      'android/gradlew is not executable. Run "chmod +x android/gradlew" and upload the source again with its file modes.',
    )
  }
}

/** Gradle writes APKs to `apk/<flavor>/<type>/` and bundles to `bundle/<flavor><Type>/`. */
export function chooseOutput(paths: readonly string[], variant: AndroidVariant, output: AndroidOutput): string {
  const { type, flavor } = variant
  const folder = output === 'apk' ? `/${flavor === null ? '' : `${flavor}/`}${type}/` : `/${bundleFolder(variant)}/`
  const ofVariant = paths.filter(
    (path) => path.endsWith(`.${output}`) && path.includes(folder) && !path.includes('/androidTest/'),
  )
  const unsigned = ofVariant.filter((path) => path.endsWith('-unsigned.apk'))
  const candidates = unsigned.length > 0 ? unsigned : ofVariant
  const [only, ...others] = candidates
  const kind = output.toUpperCase()
  if (only === undefined) {
    throw new BuildFailure(
      `${output}-missing`,
      `The Android build ended well but left no ${flavor === null ? '' : `${flavor} `}${type} ${kind} in app/build/outputs/${output === 'apk' ? 'apk' : 'bundle'}.`,
    )
  }
  if (others.length > 0) {
    const names = candidates.map((path) => path.split('/').at(-1)).join(', ')
    throw new BuildFailure(
      `${output}-ambiguous`,
      `The Android build left several ${kind}s (${names.slice(0, 500)}); exactly one is expected. Name the flavor in ANDROID_FLAVOR.`,
    )
  }
  return only
}

function bundleFolder({ type, flavor }: AndroidVariant): string {
  return flavor === null ? type : `${flavor}${type.slice(0, 1).toUpperCase()}${type.slice(1)}`
}
